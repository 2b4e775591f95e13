"""The `evaluate` module folder `dnsmos`."""
