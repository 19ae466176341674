SELECT uuid
FROM {schema}.activities
WHERE uuid = ANY(%(uuids)s::uuid[])
