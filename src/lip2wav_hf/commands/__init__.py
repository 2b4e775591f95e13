"""The command `lip2wav`, one file per command."""
