CREATE FUNCTION set_updated_at() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TABLE users (
    uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    cognito_user_id text NOT NULL UNIQUE,
    display_name text NOT NULL,
    handle text NOT NULL,
    email text,
    created_at timestamptz NOT NULL DEFAULT now(), -- the event's time
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Two people must not be able to look alike by case alone.
CREATE UNIQUE INDEX users_lower_handle_key ON users (lower(handle));

CREATE TABLE activities (
    uuid uuid PRIMARY KEY, -- the event's id, made by the publisher
    user_uuid uuid NOT NULL REFERENCES users (uuid),
    message text NOT NULL,
    replies_count integer NOT NULL DEFAULT 0,
    reposts_count integer NOT NULL DEFAULT 0,
    likes_count integer NOT NULL DEFAULT 0,
    reply_to_activity_uuid uuid REFERENCES activities (uuid),
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(), -- the event's time
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- The home feed, newest first.
CREATE INDEX activities_created_at_idx ON activities (created_at DESC, uuid DESC);
-- One user's activities, newest first.
CREATE INDEX activities_user_uuid_idx ON activities (user_uuid, created_at DESC, uuid DESC);
-- The replies of one activity, oldest first.
CREATE INDEX activities_reply_to_idx ON activities (reply_to_activity_uuid, created_at, uuid)
WHERE reply_to_activity_uuid IS NOT NULL;

CREATE TRIGGER users_set_updated_at BEFORE UPDATE ON users
FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TRIGGER activities_set_updated_at BEFORE UPDATE ON activities
FOR EACH ROW EXECUTE FUNCTION set_updated_at();
