"""The whole system on embedded parts, for a person to watch (`make demo`)."""
