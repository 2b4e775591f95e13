"""The `evaluate` module folder `grid_wer`."""
