-- As lock_authors, for a database with Citus, where their names are locked by now (db/tables/name_locks.py).
SELECT cognito_user_id, uuid, deleted_at IS NOT NULL AS deleted
FROM {schema}.users
WHERE cognito_user_id = ANY(%(cognito_user_ids)s::text[])
