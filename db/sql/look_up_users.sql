-- Each part is one row of an index.
SELECT uuid, cognito_user_id, handle, display_name, email, created_at, updated_at, deleted_at
FROM {schema}.users
WHERE cognito_user_id = ANY(%(terms)s::text[])
UNION
SELECT uuid, cognito_user_id, handle, display_name, email, created_at, updated_at, deleted_at
FROM {schema}.users
WHERE {schema}.handle_key(handle) = {schema}.handle_key(%(name)s)
UNION
(
    SELECT uuid, cognito_user_id, handle, display_name, email, created_at, updated_at, deleted_at
    FROM {schema}.users
    WHERE lower(email) = lower(%(name)s)
    LIMIT %(limit)s
)
ORDER BY created_at, uuid
LIMIT %(limit)s
