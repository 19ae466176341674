-- No text of any query: it may hold what people wrote.
SELECT
    pid,
    coalesce(usename, '') AS user_name,
    coalesce(application_name, '') AS application,
    CASE WHEN backend_start IS NOT NULL THEN coalesce(host(client_addr), 'local') ELSE '' END AS client,
    coalesce(state, '') AS state,
    extract(EPOCH FROM clock_timestamp() - backend_start)::float AS age_seconds,
    extract(EPOCH FROM clock_timestamp() - state_change)::float AS state_seconds,
    -- A session that is idle waits for its client, and that says nothing more.
    CASE
        WHEN wait_event_type = 'Client' AND state LIKE 'idle%%' THEN NULL
        ELSE wait_event_type || ' ' || wait_event
    END AS waiting_for,
    pg_blocking_pids(pid) AS blocked_by,
    backend_start AS started_at
FROM pg_stat_activity
WHERE
    datname = current_database()
    -- Of other people's sessions nobody sees more than who they are without a right to.
    AND coalesce(backend_type, 'client backend') = 'client backend'
    AND pid <> %(own_pid)s
ORDER BY backend_start, pid
