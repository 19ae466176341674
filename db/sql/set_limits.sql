-- For this transaction alone: settings of the session would not survive a pooler in transaction mode.
-- A commit is what lets a message be deleted, so it must be durable even where the server's default says otherwise.
SELECT
    set_config('statement_timeout', %(statement_timeout_ms)s::text, true),
    set_config('lock_timeout', %(lock_timeout_ms)s::text, true),
    CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) END
