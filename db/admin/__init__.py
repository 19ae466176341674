"""The operators' side of the database: databases, roles, sessions, sample data."""
