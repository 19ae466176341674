SELECT cognito_user_id
FROM {schema}.users
WHERE cognito_user_id = ANY(%(cognito_user_ids)s::text[]) AND deleted_at IS NOT NULL
