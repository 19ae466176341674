-- Binary parameters (b): psycopg quotes each element of an array as text, which takes several times the CPU.
-- Either unique index may already hold the row: the same user again, or another one's handle.
INSERT INTO {schema}.users (cognito_user_id, display_name, handle, email, attributes, created_at)
SELECT
    new.cognito_user_id,
    new.display_name,
    new.handle,
    new.email,
    coalesce(new.attributes::jsonb, jsonb_build_object()),
    new.created_at
FROM unnest(
    %(cognito_user_ids)b::text[],
    %(display_names)b::text[],
    %(handles)b::text[],
    %(emails)b::text[],
    %(attributess)b::text[],
    %(created_ats)b::timestamptz[]
) AS new (cognito_user_id, display_name, handle, email, attributes, created_at)
ON CONFLICT DO NOTHING
RETURNING cognito_user_id
