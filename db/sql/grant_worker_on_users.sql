-- What the worker's statements need, and no column more: it cannot read e-mail addresses, names or handles.
GRANT SELECT (uuid, cognito_user_id), INSERT ON {schema}.users TO {role}
