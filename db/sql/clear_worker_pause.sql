DELETE FROM {schema}.worker_pause RETURNING paused_at, who, reason
