"""One module for each command of `signup-sync`."""
