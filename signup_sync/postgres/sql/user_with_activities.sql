-- No e-mail address: this is what everybody may see. In parts that do not refer to each other's rows, as that is what a
-- database that is spread over nodes can run, and for any other the same.
WITH person AS (
    SELECT uuid, handle, display_name, created_at
    FROM {schema}.users
    -- An index serves it. Rows from before migration 0004 may have the same key: then it is the one that is written so.
    WHERE {schema}.handle_key(handle) = {schema}.handle_key(%(handle)s)
    ORDER BY lower(handle) = lower(%(handle)s) DESC, created_at, uuid
    LIMIT 1
),

page AS (
    SELECT
        uuid,
        message,
        replies_count,
        reposts_count,
        likes_count,
        reply_to_activity_uuid,
        expires_at,
        created_at
    FROM {schema}.activities
    WHERE
        user_uuid = (SELECT uuid FROM person)
        AND (created_at, uuid) < (
            coalesce(%(created_at)s::timestamptz, 'infinity'),
            coalesce(%(uuid)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        )
        AND deleted_at IS NULL
        AND (expires_at IS NULL OR expires_at > now())
    ORDER BY created_at DESC, uuid DESC
    LIMIT %(limit)s
)

SELECT
    person.uuid,
    person.handle,
    person.display_name,
    person.created_at,
    (SELECT coalesce(json_agg(page), '[]') FROM page) AS activities
FROM person
