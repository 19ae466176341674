SELECT cognito_user_id
FROM {schema}.users
WHERE
    cognito_user_id > %(after)s
    AND deleted_at IS NULL
    AND created_at < coalesce(%(created_before)s::timestamptz, 'infinity')
ORDER BY cognito_user_id
LIMIT %(limit)s
