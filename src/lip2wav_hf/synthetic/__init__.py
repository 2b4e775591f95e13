"""Synthetic talking faces that say GRID sentences, for demonstrations and tests."""
