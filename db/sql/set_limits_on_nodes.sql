-- As set_limits, for a database with Citus: of settings it passes on to the nodes what is SET LOCAL, and only if told to
-- (Citus documentation, "Configuration Reference", citus.propagate_set_commands). One call, as one statement would be.
-- One connection to a node: a batch that has written activities may write users after them, which several at once would
-- forbid (the same, citus.multi_shard_modify_mode), and no two batches wait for each other's parts of the table.
SET LOCAL citus.propagate_set_commands TO 'local';
SET LOCAL citus.multi_shard_modify_mode TO 'sequential';
SET LOCAL statement_timeout TO {statement_timeout_ms};
SET LOCAL lock_timeout TO {lock_timeout_ms};
SET LOCAL synchronous_commit TO 'on'
