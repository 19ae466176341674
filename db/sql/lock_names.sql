-- In one order. What is locked is a number, which two names may have in common; then one waits for nothing.
SELECT
    CASE
        WHEN %(is_shared)s THEN pg_advisory_xact_lock_shared(hashtextextended(name, 0))
        ELSE pg_advisory_xact_lock(hashtextextended(name, 0))
    END
FROM (SELECT unnest(%(names)s::text[]) AS name ORDER BY name) AS names
