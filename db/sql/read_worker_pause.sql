SELECT paused_at, who, reason FROM worker_pause
