"""The `evaluate` module folder `cer`."""
