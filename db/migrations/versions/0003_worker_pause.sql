-- One row at most: while it is there no worker receives. Nobody waits for this migration, as no other table is touched.
CREATE TABLE worker_pause (
    is_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_only_row),
    paused_at timestamptz NOT NULL DEFAULT now(),
    who text NOT NULL CHECK (char_length(who) BETWEEN 1 AND 64),
    reason text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 200)
);
