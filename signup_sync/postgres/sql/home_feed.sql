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
    activities.created_at
FROM {schema}.activities
INNER JOIN {schema}.users ON users.uuid = activities.user_uuid
WHERE
    (activities.created_at, activities.uuid) < (
        coalesce(%(created_at)s::timestamptz, 'infinity'),
        coalesce(%(uuid)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    )
    AND activities.deleted_at IS NULL
    AND (activities.expires_at IS NULL OR activities.expires_at > now())
ORDER BY activities.created_at DESC, activities.uuid DESC
LIMIT %(limit)s
