-- All columns but the e-mail address: what the feeds read, and by whose sub a backend finds them.
GRANT SELECT (uuid, cognito_user_id, display_name, handle, created_at, updated_at) ON {schema}.users TO {role}
