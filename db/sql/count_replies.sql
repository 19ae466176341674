-- Locked in one order by everyone, so that two workers that count replies of the same activities do not deadlock.
WITH new_replies AS (
    SELECT *
    FROM unnest(%(uuids)s::uuid[], %(counts)s::integer[]) AS t (uuid, replies)
),

locked AS (
    SELECT uuid
    FROM {schema}.activities
    WHERE uuid = ANY(%(uuids)s::uuid[])
    ORDER BY uuid
    FOR NO KEY UPDATE
)

UPDATE {schema}.activities
SET replies_count = activities.replies_count + new_replies.replies
FROM locked
INNER JOIN new_replies USING (uuid)
WHERE activities.uuid = locked.uuid
