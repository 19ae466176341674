-- No e-mail address: this is what everybody may see.
SELECT
    users.uuid,
    users.handle,
    users.display_name,
    users.created_at,
    (
        SELECT coalesce(json_agg(page), '[]')
        FROM (
            SELECT
                activities.uuid,
                activities.message,
                activities.replies_count,
                activities.reposts_count,
                activities.likes_count,
                activities.reply_to_activity_uuid,
                activities.expires_at,
                activities.created_at
            FROM {schema}.activities
            WHERE
                activities.user_uuid = users.uuid
                AND (activities.created_at, activities.uuid) < (
                    coalesce(%(created_at)s::timestamptz, 'infinity'),
                    coalesce(%(uuid)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                )
                AND activities.deleted_at IS NULL
                AND (activities.expires_at IS NULL OR activities.expires_at > now())
            ORDER BY activities.created_at DESC, activities.uuid DESC
            LIMIT %(limit)s
        ) AS page
    ) AS activities
FROM {schema}.users
-- An index serves it. Rows from before migration 0004 may have the same key: then it is the one that is written so.
WHERE {schema}.handle_key(users.handle) = {schema}.handle_key(%(handle)s)
ORDER BY lower(users.handle) = lower(%(handle)s) DESC, users.created_at, users.uuid
LIMIT 1
