-- A deletion that has begun ends first, and one that begins later waits until the activities are there to be erased. Not
-- FOR KEY SHARE, which waits too but then still returns what the row was before (PostgreSQL documentation, 13.3.2
-- "Row-Level Locks": it does not conflict with FOR NO KEY UPDATE). In one order: see insert_users.
SELECT cognito_user_id, uuid, deleted_at IS NOT NULL AS deleted
FROM {schema}.users
WHERE cognito_user_id = ANY(%(cognito_user_ids)s::text[])
ORDER BY cognito_user_id
FOR SHARE
