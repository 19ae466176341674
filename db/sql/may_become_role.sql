-- Who has made a role may grant it, and not become it before (PostgreSQL documentation, 21.2 "Role Attributes").
SELECT pg_has_role(%(role)s, 'SET')
