-- As insert_activities, for a database with Citus: it sends each node its own of these rows. What is selected it would
-- write into a file for each part of the table, over a connection for each.
INSERT INTO {schema}.activities (uuid, user_uuid, message, reply_to_activity_uuid, expires_at, created_at)
VALUES {{rows}}
ON CONFLICT (uuid) DO NOTHING
RETURNING uuid
