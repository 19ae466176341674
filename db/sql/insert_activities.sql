-- Foreign keys are checked at the end of the statement: a reply may come with its parent.
INSERT INTO activities (uuid, user_uuid, message, reply_to_activity_uuid, expires_at, created_at)
SELECT *
FROM unnest(
    %(uuids)s::uuid[],
    %(user_uuids)s::uuid[],
    %(messages)s::text[],
    %(reply_to_activity_uuids)s::uuid[],
    %(expires_ats)s::timestamptz[],
    %(created_ats)s::timestamptz[]
)
ON CONFLICT (uuid) DO NOTHING
RETURNING uuid
