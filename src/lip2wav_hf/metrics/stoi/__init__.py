"""The `evaluate` module folder `stoi`."""
