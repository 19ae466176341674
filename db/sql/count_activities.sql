SELECT count(*)
FROM {schema}.activities
WHERE user_uuid = %(user_uuid)s AND deleted_at IS NULL
