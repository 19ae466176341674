-- No row is read or written by any of this, so that it takes as long for a large table as for an empty one (PostgreSQL
-- documentation, "ALTER TABLE", Notes: a constant default, NOT VALID). It needs all transactions on the tables to end:
-- whoever comes meanwhile waits behind it, so it does not wait for longer than they can: for either table, so that both
-- together are less than a worker's LOCK_TIMEOUT_MS.
SELECT set_config('lock_timeout', '2s', true) WHERE current_setting('lock_timeout') = '0';

LOCK TABLE users, activities IN ACCESS EXCLUSIVE MODE;

-- A deleted user stays as a tombstone: the id, and when.
ALTER TABLE users
ADD COLUMN attributes jsonb NOT NULL DEFAULT '{}', -- of Cognito, by name
ADD COLUMN profile_at timestamptz, -- the time of the newest user.updated.v1; before the first, it is created_at
ADD COLUMN profile_event uuid, -- its id: of two at the same time the greater one wins
ADD COLUMN deleted_at timestamptz,
ALTER COLUMN display_name DROP NOT NULL,
ALTER COLUMN handle DROP NOT NULL,
-- Rows of before have both: nobody need look.
ADD CONSTRAINT users_named_unless_deleted
CHECK (deleted_at IS NOT NULL OR (display_name IS NOT NULL AND handle IS NOT NULL)) NOT VALID;

-- An erased activity stays for its replies, without its message.
ALTER TABLE activities
ADD COLUMN deleted_at timestamptz,
ALTER COLUMN message DROP NOT NULL,
ADD CONSTRAINT activities_written_unless_deleted
CHECK (deleted_at IS NOT NULL OR message IS NOT NULL) NOT VALID;
