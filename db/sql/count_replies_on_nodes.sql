-- As count_replies, for a database with Citus: over several nodes there is no FOR NO KEY UPDATE.
UPDATE {schema}.activities
SET replies_count = activities.replies_count + new_replies.replies
FROM unnest(%(uuids)s::uuid[], %(counts)s::integer[]) AS new_replies (uuid, replies)
WHERE
    activities.uuid = new_replies.uuid
    AND activities.uuid = ANY(%(uuids)s::uuid[])
