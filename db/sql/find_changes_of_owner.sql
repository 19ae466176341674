-- A statement for each of our tables and functions in a schema that is not this role's yet. The tables come in the order
-- of their names here, in which the worker locks them too. Indexes, triggers and types go with their tables.
SELECT format('ALTER TABLE %%I.%%I OWNER TO %%I', %(schema)s::text, relations.relname, %(role)s::text), ours.place
FROM unnest(%(tables)s::text[]) WITH ORDINALITY AS ours (name, place)
INNER JOIN pg_catalog.pg_class AS relations
    ON relations.relname = ours.name AND relations.relnamespace = to_regnamespace(quote_ident(%(schema)s))
WHERE pg_get_userbyid(relations.relowner) <> %(role)s
UNION ALL
SELECT format('ALTER FUNCTION %%s OWNER TO %%I', functions.oid::regprocedure, %(role)s::text), NULL
FROM pg_catalog.pg_proc AS functions
WHERE
    functions.pronamespace = to_regnamespace(quote_ident(%(schema)s))
    AND format('%%s(%%s)', functions.proname, oidvectortypes(functions.proargtypes)) = ANY(%(functions)s::text[])
    AND pg_get_userbyid(functions.proowner) <> %(role)s
ORDER BY place NULLS LAST
