SELECT conname::text
FROM pg_catalog.pg_constraint
WHERE
    contype = 'f'
    AND conrelid = format('%%I.activities', %(schema)s::text)::regclass
    AND confrelid = conrelid
