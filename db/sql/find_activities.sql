SELECT uuid
FROM activities
WHERE uuid = ANY(%(uuids)s::uuid[])
