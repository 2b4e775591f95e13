"""A mutation fuzzer of everything that the package reads: `make fuzz`."""
