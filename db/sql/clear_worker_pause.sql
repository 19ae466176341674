DELETE FROM worker_pause RETURNING paused_at, who, reason
