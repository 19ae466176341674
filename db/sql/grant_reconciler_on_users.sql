-- What reconciliation compares with the pool, which is a person's whole profile, and no column more. It writes nothing.
GRANT
SELECT (uuid, cognito_user_id, display_name, handle, email, attributes, created_at, profile_at, deleted_at)
ON {schema}.users TO {role}
