SELECT cognito_user_id, uuid
FROM {schema}.users
WHERE cognito_user_id = ANY(%(cognito_user_ids)s::text[])
