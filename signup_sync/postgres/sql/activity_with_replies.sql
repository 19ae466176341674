-- In parts that do not refer to each other's rows: see user_with_activities.
WITH page AS (
    SELECT
        replies.uuid,
        authors.handle,
        authors.display_name,
        replies.message,
        replies.replies_count,
        replies.reposts_count,
        replies.likes_count,
        replies.reply_to_activity_uuid,
        replies.expires_at,
        replies.created_at,
        replies.deleted_at
    FROM {schema}.activities AS replies
    INNER JOIN {schema}.users AS authors ON authors.uuid = replies.user_uuid
    WHERE
        replies.reply_to_activity_uuid = %(uuid)s
        AND (replies.created_at, replies.uuid) > (
            coalesce(%(after_created_at)s::timestamptz, '-infinity'),
            coalesce(%(after_uuid)s::uuid, '00000000-0000-0000-0000-000000000000')
        )
        -- What was replied to is shown as deleted.
        AND (replies.deleted_at IS NULL OR replies.replies_count > 0)
        AND (replies.expires_at IS NULL OR replies.expires_at > now())
    ORDER BY replies.created_at, replies.uuid
    LIMIT %(limit)s
)

SELECT
    activities.uuid,
    users.handle,
    users.display_name,
    activities.message,
    activities.replies_count,
    activities.reposts_count,
    activities.likes_count,
    activities.reply_to_activity_uuid,
    activities.expires_at,
    activities.created_at,
    activities.deleted_at,
    (SELECT coalesce(json_agg(page), '[]') FROM page) AS replies
FROM {schema}.activities
INNER JOIN {schema}.users ON users.uuid = activities.user_uuid
WHERE
    activities.uuid = %(uuid)s
    AND (activities.expires_at IS NULL OR activities.expires_at > now())
