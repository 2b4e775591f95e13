"""The `evaluate` module folder `av_sync`."""
