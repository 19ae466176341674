-- Its start is compared too: a process number is used again. Waits for up to 5 seconds until it is gone.
SELECT pg_terminate_backend(pid, 5000)
FROM pg_stat_activity
WHERE
    pid = %(pid)s
    AND backend_start IS NOT DISTINCT FROM %(started_at)s::timestamptz
    AND datname = current_database()
    AND coalesce(backend_type, 'client backend') = 'client backend'
