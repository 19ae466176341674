SELECT cognito_user_id
FROM {schema}.users
WHERE cognito_user_id > %(after)s
ORDER BY cognito_user_id
LIMIT %(limit)s
