-- The lock that an INSERT takes: it needs the tables, the right to write to them, and nobody who keeps writers out.
LOCK TABLE {schema}.users, {schema}.activities IN ROW EXCLUSIVE MODE NOWAIT
