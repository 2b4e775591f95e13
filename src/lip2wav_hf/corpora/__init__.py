"""Clips of talking faces with their words, whatever corpus they come from."""
