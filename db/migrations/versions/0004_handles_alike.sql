-- What a handle is compared by: without what cannot be seen (the classes UNWANTED and INVISIBLE of
-- signup_sync/characters.py), in Normalization Form KC and in lower case, as nicknames are (RFC 8266, 2.1 and 2.4; full
-- case folding would also take "ss" for the German sharp s, and the Greek final sigma for the other one). normalize()
-- is immutable, and needs a database in UTF8 (PostgreSQL documentation, 9.4 "String Functions and Operators").
CREATE FUNCTION handle_key(handle text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT lower(normalize(regexp_replace(
    handle,
    '[\u0001-\u001f\u007f-\u009f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160'
    '\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0'
    '\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a'
    '\U000e0000-\U000e0fff]',
    '',
    'g'
), NFKC))
$$;

-- Whoever inserts a user computes the index.
GRANT EXECUTE ON FUNCTION handle_key(text) TO public;

-- Reads go on, sign-ups wait until the index is built: about 3 seconds for a million users. users_lower_handle_key
-- stays, for the queries of backends and consoles of the version before.
LOCK TABLE users IN SHARE MODE;

-- Where handles of before are the same by the new rule, all rows stay as they are: the first has the key, and the later
-- ones are exceptions, by their uuid in a second column.
DO $$
DECLARE
    later uuid[];
BEGIN
    PERFORM handle_key(''); -- a database in another encoding is refused now, and not at its first sign-up
    CREATE UNIQUE INDEX users_handle_key ON users (handle_key(handle));
EXCEPTION WHEN unique_violation THEN
    SELECT array_agg(uuid ORDER BY uuid)
    INTO later
    FROM (
        SELECT uuid, row_number() OVER (PARTITION BY handle_key(handle) ORDER BY created_at, uuid) AS place
        FROM users
    ) AS places
    WHERE place > 1;
    EXECUTE format(
        'CREATE UNIQUE INDEX users_handle_key ON users (handle_key(handle), (CASE WHEN uuid = ANY (%L::uuid[])'
        ' THEN uuid ELSE ''00000000-0000-0000-0000-000000000000''::uuid END))',
        later
    );
END
$$;
