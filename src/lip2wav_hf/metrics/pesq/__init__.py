"""The `evaluate` module folder `pesq`."""
