-- What is left is the same in whatever order a person's events come: nothing of the sign-up, not even its time.
INSERT INTO {schema}.users AS tombstones (cognito_user_id, created_at, deleted_at)
SELECT deleted.cognito_user_id, deleted.deleted_at, deleted.deleted_at
FROM unnest(%(cognito_user_ids)s::text[], %(deleted_ats)s::timestamptz[]) AS deleted (cognito_user_id, deleted_at)
ORDER BY deleted.cognito_user_id
ON CONFLICT (cognito_user_id) DO UPDATE SET
display_name = NULL,
handle = NULL,
email = NULL,
attributes = DEFAULT,
profile_at = NULL,
profile_event = NULL,
created_at = least(tombstones.deleted_at, excluded.deleted_at),
deleted_at = least(tombstones.deleted_at, excluded.deleted_at)
WHERE tombstones.deleted_at IS NULL OR tombstones.deleted_at > excluded.deleted_at
RETURNING tombstones.cognito_user_id
