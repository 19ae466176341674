-- A pause that is there stays: who made it is who knows when it may end.
INSERT INTO {schema}.worker_pause (who, reason)
VALUES (%(who)s, %(reason)s)
ON CONFLICT DO NOTHING
RETURNING paused_at, who, reason
