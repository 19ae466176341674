-- The newest wins, and of two at the same time the one with the greater id. Whoever waited here for another transaction
-- looks at what that one has written (PostgreSQL documentation, 13.2.1 "Read Committed Isolation Level").
UPDATE {schema}.users
SET
    display_name = new.display_name,
    handle = new.handle,
    email = new.email,
    attributes = coalesce(new.attributes::jsonb, '{{}}'),
    profile_at = new.profile_at,
    profile_event = new.profile_event
FROM unnest(
    %(cognito_user_ids)b::text[],
    %(display_names)b::text[],
    %(handles)b::text[],
    %(emails)b::text[],
    %(attributess)b::text[],
    %(profile_ats)b::timestamptz[],
    %(profile_events)b::uuid[]
) AS new (cognito_user_id, display_name, handle, email, attributes, profile_at, profile_event)
WHERE
    users.cognito_user_id = new.cognito_user_id
    AND users.deleted_at IS NULL
    AND (
        coalesce(users.profile_at, users.created_at),
        coalesce(users.profile_event, '00000000-0000-0000-0000-000000000000')
    ) < (new.profile_at, new.profile_event)
RETURNING users.cognito_user_id
