SELECT cognito_user_id, display_name, handle, email, attributes, created_at, profile_at
FROM {schema}.users
WHERE cognito_user_id = ANY(%(cognito_user_ids)s::text[]) AND deleted_at IS NULL
