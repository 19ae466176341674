-- In the statement's own order (PostgreSQL documentation, 9.21 "Aggregate Functions": "supplying the input values from
-- a sorted subquery").
WITH result AS (
{statement}
)

SELECT convert_to(coalesce(json_agg(row_to_json(result)), '[]')::text, 'UTF8')
FROM result
