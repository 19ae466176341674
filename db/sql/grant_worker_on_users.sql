-- What the worker's statements need, and no column more: it cannot read e-mail addresses, names, handles or attributes.
GRANT
SELECT (uuid, cognito_user_id, created_at, profile_at, profile_event, deleted_at),
INSERT,
UPDATE (display_name, handle, email, attributes, created_at, profile_at, profile_event, deleted_at)
ON {schema}.users TO {role}
