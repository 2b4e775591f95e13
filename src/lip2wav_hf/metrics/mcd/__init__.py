"""The `evaluate` module folder `mcd`."""
