"""Reconciliation: the user pool against the table."""
