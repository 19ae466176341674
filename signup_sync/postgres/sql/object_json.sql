-- As bytes of UTF-8, whatever the encodings of the database and of the connection are.
WITH result AS (
{statement}
)

SELECT convert_to(row_to_json(result)::text, 'UTF8')
FROM result
