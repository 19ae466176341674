-- What has one of these names in a schema: a table, a view, whatever it is (PostgreSQL documentation, 53.11 "pg_class").
SELECT
    relations.relname::text,
    relations.relkind IN ('r', 'p') AS is_table,
    ARRAY(
        SELECT columns.attname::text
        FROM pg_catalog.pg_attribute AS columns
        WHERE columns.attrelid = relations.oid AND columns.attnum > 0 AND NOT columns.attisdropped
    ) AS column_names
FROM pg_catalog.pg_class AS relations
INNER JOIN pg_catalog.pg_namespace AS schemas ON schemas.oid = relations.relnamespace
WHERE schemas.nspname = %(schema)s AND relations.relname = ANY(%(names)s::text[])
