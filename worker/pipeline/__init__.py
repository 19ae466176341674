"""The way of a message: receive, parse, write, delete, and what guards it."""
