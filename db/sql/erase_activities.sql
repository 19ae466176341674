-- So many of one user's, from a place on; returns where they end, and nothing at the end. The rows stay, for replies.
WITH page AS (
    SELECT uuid, created_at
    FROM {schema}.activities
    WHERE
        user_uuid = %(user_uuid)s
        AND (created_at, uuid) < (
            coalesce(%(created_at)s::timestamptz, 'infinity'),
            coalesce(%(uuid)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        )
    ORDER BY created_at DESC, uuid DESC
    LIMIT %(limit)s
),

erased AS (
    UPDATE {schema}.activities
    SET message = NULL, deleted_at = %(deleted_at)s
    FROM page
    WHERE
        activities.uuid = page.uuid
        AND (activities.deleted_at IS NULL OR activities.deleted_at > %(deleted_at)s)
)

SELECT created_at, uuid
FROM page
ORDER BY created_at, uuid
LIMIT 1
