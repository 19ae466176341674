"""Brings the whole system into an AWS account, and takes it out again."""
