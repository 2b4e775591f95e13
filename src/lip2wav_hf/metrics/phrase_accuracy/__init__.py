"""The `evaluate` module folder `phrase_accuracy`."""
