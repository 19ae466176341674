SELECT paused_at, who, reason FROM {schema}.worker_pause
