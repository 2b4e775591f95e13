"""The `evaluate` module folder `wer`."""
