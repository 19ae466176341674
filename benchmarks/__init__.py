"""What a message costs here, and with others: `python -m benchmarks --help`."""
