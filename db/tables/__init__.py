"""The tables, and the statements of the worker on each."""
