-- Binary parameters (b): psycopg quotes each element of an array as text, which takes several times the CPU.
-- Foreign keys are checked at the end of the statement: a reply may come with its parent.
INSERT INTO {schema}.activities (uuid, user_uuid, message, reply_to_activity_uuid, expires_at, created_at)
SELECT *
FROM unnest(
    %(uuids)b::uuid[],
    %(user_uuids)b::uuid[],
    %(messages)b::text[],
    %(reply_to_activity_uuids)b::uuid[],
    %(expires_ats)b::timestamptz[],
    %(created_ats)b::timestamptz[]
)
ON CONFLICT (uuid) DO NOTHING
RETURNING uuid
