-- The lock that an INSERT takes: it needs the tables, the right to write to them, and nobody who keeps writers out.
LOCK TABLE users, activities IN ROW EXCLUSIVE MODE NOWAIT
