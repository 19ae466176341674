-- Either unique index may already hold the row: the same user again, or another one's handle.
INSERT INTO users (cognito_user_id, display_name, handle, email, created_at)
SELECT *
FROM unnest(
    %(cognito_user_ids)s::text[],
    %(display_names)s::text[],
    %(handles)s::text[],
    %(emails)s::text[],
    %(created_ats)s::timestamptz[]
)
ON CONFLICT DO NOTHING
RETURNING cognito_user_id
