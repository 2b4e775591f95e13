"""The `evaluate` module folder `corr2d`."""
