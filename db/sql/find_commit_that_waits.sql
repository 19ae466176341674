-- Ours, for longer than a statement may take. In time it is no statement that waits, so that no timeout ends it.
SELECT query_start
FROM pg_stat_activity
WHERE
    usename = current_user
    AND wait_event = 'SyncRep'
    AND query_start < clock_timestamp() - %(statement_timeout_ms)s * interval '1 millisecond'
LIMIT 1
