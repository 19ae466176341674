"""Tables of any size, made by the server; their indexes and foreign keys are built when the rows are there.

User n and activity n have keys that can be computed: so replies find their parents, and a measurement what is there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

Keys = Literal["v4", "v7"]

Progress = Callable[[str], None]

ACTIVITIES_OF_A_USER = 100  # on average; the author of a random activity has more
REACH = 10_000  # a reply's parent is one of so many activities before it

_CHUNK = 5_000_000  # rows of one statement
_SECONDS = 2 * 365 * 24 * 3600  # between the first activity and the last

# Such functions are put into the statement itself, as nothing in them depends on a setting (PostgreSQL documentation,
# 36.7 "Function Volatility Categories").
_FUNCTIONS = """
CREATE FUNCTION user_key(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5(n::text)::uuid $$;
CREATE FUNCTION posted_at(n bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
SELECT to_timestamp(({begin} + n * {step})::float8 / 1000000)
$$;
CREATE FUNCTION activity_key(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT {key} $$;
"""

# As far as an index can tell: the bits of version and variant are the same in all keys, and are left out.
_ACTIVITY_KEYS: dict[Keys, str] = {
    "v4": "md5('a' || n::text)::uuid",
    "v7": "(lpad(to_hex(({begin} + n * {step}) / 1000), 12, '0') || substr(md5(n::text), 13))::uuid",
}

_USERS = """
INSERT INTO users (uuid, cognito_user_id, display_name, handle, email, created_at, updated_at)
SELECT
    user_key(n),
    user_key(n)::text,
    'Somebody',
    'person-' || n,
    'person-' || n || '@example.com',
    posted_at(0),
    posted_at(0)
FROM (SELECT generate_series(0, %s::bigint - 1) AS n) AS numbers
"""

# The square makes some authors post a lot. In the list of columns the series is not put into a file first.
_ACTIVITIES = """
INSERT INTO activities (uuid, user_uuid, message, reply_to_activity_uuid, created_at, updated_at)
SELECT
    activity_key(n),
    user_key(author),
    repeat('word ', 8 + (n %% 9)::integer),
    CASE WHEN n %% 5 = 0 AND parent > 0 THEN activity_key(parent) END,
    posted_at(n),
    posted_at(n)
FROM (
    SELECT
        n,
        floor(%(users)s * power(random(), 2))::bigint AS author,
        n - 1 - floor(%(reach)s * random())::bigint AS parent
    FROM (SELECT generate_series(%(first)s::bigint, %(last)s::bigint) AS n) AS numbers
) AS drawn
"""

_FOREIGN_KEY = "f"  # PostgreSQL documentation, 53.13 "pg_constraint", contype


class Generated(NamedTuple):
    """What is in the tables. Users are numbered from 0, activities from 1, in order of time."""

    users: int
    activities: int


def generate(url: str, activities: int, keys: Keys, progress: Progress) -> Generated:
    """Fill the tables of a database that was migrated and is empty.

    Where wal_level is minimal the rows are not logged, as the tables are emptied in the same transaction (PostgreSQL
    documentation, 14.4.7 "Disable WAL Archival and Streaming Replication").
    """
    generated = Generated(max(10, activities // ACTIVITIES_OF_A_USER), activities)
    with psycopg.connect(url, autocommit=True) as connection:
        _make_functions(connection, activities, keys)
        with _without_indexes(connection, progress):
            with connection.transaction():
                _insert(connection, generated, progress)
            connection.execute("VACUUM (FREEZE) users, activities")
            progress("vacuumed")
        connection.execute("VACUUM ANALYZE users, activities")
    return generated


def posted_keys(connection: psycopg.Connection, numbers: list[int]) -> list[tuple[UUID, datetime]]:
    """The `uuid` and the time of these activities."""
    query = "SELECT activity_key(n), posted_at(n) FROM unnest(%s::bigint[]) AS n"
    return connection.execute(query, (numbers,)).fetchall()


def user_ids(connection: psycopg.Connection, numbers: list[int]) -> list[str]:
    """The `cognito_user_id` of these users."""
    query = "SELECT user_key(n)::text FROM unnest(%s::bigint[]) AS n"
    return [row[0] for row in connection.execute(query, (numbers,))]


def handle(number: int) -> str:
    """Of a user."""
    return f"person-{number}"


def _make_functions(connection: psycopg.Connection, activities: int, keys: Keys) -> None:
    begin = int(datetime.now(UTC).timestamp()) - _SECONDS
    times = {"begin": 1_000_000 * begin, "step": 1_000_000 * _SECONDS // activities}  # microseconds
    statements = _FUNCTIONS.format(key=_ACTIVITY_KEYS[keys].format(**times), **times)
    connection.execute(statements.encode())


def _insert(connection: psycopg.Connection, generated: Generated, progress: Progress) -> None:
    connection.execute("TRUNCATE users, activities")
    connection.execute("SELECT setseed(0)")
    connection.execute(_USERS, (generated.users,))
    progress(f"{generated.users:,} users")
    for first in range(1, generated.activities + 1, _CHUNK):
        last = min(first + _CHUNK - 1, generated.activities)
        parameters = {"users": generated.users, "reach": REACH, "first": first, "last": last}
        connection.execute(_ACTIVITIES, parameters)
        progress(f"{last:,} activities")


@contextmanager
def _without_indexes(connection: psycopg.Connection, progress: Progress) -> Iterator[None]:
    constraints = connection.execute(
        "SELECT conrelid::regclass::text, conname, contype, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid IN ('users'::regclass, 'activities'::regclass) AND contype IN ('f', 'p', 'u')"
        " ORDER BY contype"  # foreign keys first: they need the others
    ).fetchall()
    for table, name, _, _ in constraints:
        _alter(connection, table, sql.SQL("DROP CONSTRAINT {}").format(sql.Identifier(name)))
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('users', 'activities')"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    yield
    for name, definition in indexes:
        connection.execute(definition)
        progress(name)
    for table, name, kind, definition in reversed(constraints):
        # The rows that are there need not be looked up; new ones are.
        of_new_rows = sql.SQL(" NOT VALID" if kind == _FOREIGN_KEY else "")
        change = sql.SQL("ADD CONSTRAINT {} {}").format(sql.Identifier(name), sql.SQL(definition))
        _alter(connection, table, change + of_new_rows)
        progress(name)


def _alter(connection: psycopg.Connection, table: str, change: sql.Composed) -> None:
    connection.execute(sql.SQL("ALTER TABLE {} {}").format(sql.Identifier(table), change))
