GRANT
SELECT (uuid, user_uuid, replies_count, created_at, deleted_at),
INSERT,
UPDATE (message, replies_count, deleted_at)
ON {schema}.activities TO {role}
