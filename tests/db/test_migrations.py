import json
import subprocess
import sys
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from db.connection import Connection
from db.migrations import MigrationRefused, Revision, migrate, status
from db.pool import connect
from db.tables.users import NewUser, insert_users
from signup_sync.postgres.feed import user_with_activities
from tests.support.application import OWN_SCHEMA, TABLES
from tests.support.memory_database import handle_key
from tests.support.ports import free_port
from tests.support.postgres import CreateRole, Postgres

ROOT = Path(__file__).parents[2]

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)

FIRST = ("0001", "users and activities")

MIGRATE = """
import sys
from db.migrations import migrate
print("ready", flush=True)
sys.stdin.readline()
print(*[revision.number for revision in migrate(sys.argv[1])])
"""


def tables(url: str, schema: str = "public") -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
    return {row[0] for row in rows}


def objects(connection: psycopg.Connection[TupleRow], schema: str = "public") -> list[TupleRow]:
    """Relations, with their kinds, and functions."""
    statement = """
        SELECT relname::text, relkind::text FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(%(schema)s))
        UNION ALL
        SELECT proname::text, prosrc FROM pg_proc WHERE pronamespace = to_regnamespace(quote_ident(%(schema)s))
        ORDER BY 1, 2
    """
    return connection.execute(statement, {"schema": schema}).fetchall()


def as_role(url_of_role: str, url: str) -> str:
    return url.replace("postgres@", f"{conninfo_to_dict(url_of_role)['user']}@")


def test_an_empty_database_gets_the_tables(empty_database_url: str) -> None:
    assert migrate(empty_database_url)[0] == Revision(*FIRST, applied=True)
    assert tables(empty_database_url) == {"users", "activities", "worker_pause", "alembic_version"}


def test_a_second_migration_finds_nothing_to_do(empty_database_url: str) -> None:
    migrate(empty_database_url)

    assert migrate(empty_database_url) == []


def test_two_tasks_may_migrate_at_once(empty_database_url: str) -> None:
    command = [sys.executable, "-c", MIGRATE, empty_database_url]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        other.stdin.write("go\n")
        other.stdin.flush()
        ours = migrate(empty_database_url)
        theirs, _ = other.communicate()

    assert other.returncode == 0
    assert sorted([bool(ours), bool(theirs.split())]) == [False, True]  # one applied all, the other none
    assert {"users", "activities"} < tables(empty_database_url)


def test_a_migration_that_fails_leaves_nothing_and_can_be_repeated(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("CREATE TABLE users_handle_key (of_somebody_else text)")

    with pytest.raises(MigrationRefused, match='"users_handle_key" already exists in the schema public'):
        migrate(empty_database_url)
    assert tables(empty_database_url) == {"users_handle_key"}

    with psycopg.connect(empty_database_url) as connection:
        connection.execute("DROP TABLE users_handle_key")
    assert migrate(empty_database_url)[0].number == "0001"


@pytest.mark.parametrize(
    ("obstacle", "name"),
    [
        ("CREATE TABLE users (id bigint, email text)", "public.users"),
        ("CREATE VIEW users AS SELECT 'x' AS cognito_user_id, 'x' AS display_name, 'x' AS handle", "public.users"),
        ("CREATE TABLE activities (id bigint)", "public.activities"),
        ("CREATE MATERIALIZED VIEW activities AS SELECT 1", "public.activities"),
        ("CREATE TABLE worker_pause ()", "public.worker_pause"),
        ("CREATE TABLE alembic_version (version_num text)", "public.alembic_version"),
        ("CREATE TABLE alembic_version AS SELECT '0001' AS version_num", "public.alembic_version"),
        ("CREATE TABLE alembic_version AS SELECT 'ae1027a6acf' AS version_num", "public.alembic_version"),
        ("CREATE SEQUENCE alembic_version", "public.alembic_version"),
        ("CREATE TYPE users AS ENUM ('one')", '"users"'),
        ("CREATE FUNCTION handle_key(text) RETURNS text LANGUAGE sql AS 'SELECT $1'", '"handle_key"'),
    ],
)
def test_what_somebody_else_has_made_is_named_and_left_as_it_is(
    empty_database_url: str, obstacle: str, name: str
) -> None:
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(obstacle.encode())
        before = objects(connection)

    with pytest.raises(MigrationRefused) as caught:
        migrate(empty_database_url)

    line = str(caught.value)
    assert name in line
    assert "set DATABASE_SCHEMA" in line
    assert len(line.splitlines()) == 1
    with psycopg.connect(empty_database_url) as connection:
        assert objects(connection) == before


def test_beside_an_application_the_schema_is_made_and_nothing_else_is_touched(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(TABLES.encode())
        before = objects(connection)

    applied = migrate(empty_database_url, OWN_SCHEMA)

    assert [revision.number for revision in applied] == [
        revision.number for revision in status(empty_database_url, OWN_SCHEMA)
    ]
    assert migrate(empty_database_url, OWN_SCHEMA) == []
    assert tables(empty_database_url, OWN_SCHEMA) == {"users", "activities", "worker_pause", "alembic_version"}
    with psycopg.connect(empty_database_url) as connection:
        assert objects(connection) == before
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
    with pytest.raises(MigrationRefused):
        status(empty_database_url)


def test_one_database_may_hold_several(database_url: str) -> None:
    assert len(migrate(database_url, "staging")) == len(status(database_url))

    with psycopg.connect(database_url) as connection:
        assert objects(connection, "staging") == objects(connection)


def test_triggers_and_indexes_need_no_search_path(shared_database_url: str) -> None:
    with connect(shared_database_url, OWN_SCHEMA) as connection:
        insert_users(connection, [NewUser("1", "Ada", "ada", None, NOON)])
        update = sql.SQL("UPDATE {} SET email = 'a' RETURNING updated_at > created_at, handle").format(
            sql.Identifier(OWN_SCHEMA, "users")
        )

        for search_path in ("public", "pg_catalog", ""):
            connection.execute("SELECT set_config('search_path', %s, false)", (search_path,))
            assert connection.execute(update).fetchone() == (True, "ada")
            assert len(insert_users(connection, [NewUser(f"like {search_path}", "x", "ADA", None, NOON)]).inserted) == 1


def test_a_schema_that_a_later_version_has_migrated_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    for ask in (status, migrate):
        with pytest.raises(MigrationRefused, match="public is at revision 9999"):
            ask(database_url)


@pytest.mark.parametrize(("schema", "what"), [("public", "schema public"), (OWN_SCHEMA, "database")])
def test_a_role_that_may_not_create_is_told_what_it_needs(
    empty_database_url: str, role: CreateRole, schema: str, what: str
) -> None:
    with pytest.raises(MigrationRefused, match=f"permission denied for {what}.*CREATE on the schema") as caught:
        migrate(as_role(role(), empty_database_url), schema)

    assert len(str(caught.value).splitlines()) == 1
    assert tables(empty_database_url) == set()


def test_a_role_that_owns_its_schema_needs_no_right_on_the_database(role: CreateRole, empty_database_url: str) -> None:
    url = as_role(role(), empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(f"CREATE SCHEMA own AUTHORIZATION {conninfo_to_dict(url)['user']}".encode())

    assert migrate(url, "own")[0].number == "0001"
    assert migrate(url, "own") == []


def test_the_status_says_what_is_pending_and_changes_nothing(empty_database_url: str) -> None:
    assert status(empty_database_url)[0] == Revision(*FIRST, applied=False)
    assert tables(empty_database_url) == set()


def test_the_status_says_what_is_applied(database_url: str) -> None:
    revisions = status(database_url)

    assert revisions[0] == Revision(*FIRST, applied=True)
    assert all(revision.applied for revision in revisions)


@pytest.mark.parametrize("ask", [status, migrate])
def test_a_database_that_is_away_is_an_error_of_psycopg(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        ask(f"postgresql://postgres@127.0.0.1:{free_port()}/gone")


@pytest.mark.parametrize(
    ("table", "insert"),
    [
        ("users", "INSERT INTO users (cognito_user_id, display_name, handle) VALUES ('1', 'Ada', 'ada')"),
        (
            "activities",
            """
            WITH author AS (
                INSERT INTO users (cognito_user_id, display_name, handle) VALUES ('1', 'Ada', 'ada') RETURNING uuid
            )
            INSERT INTO activities (uuid, user_uuid, message) SELECT gen_random_uuid(), uuid, 'hello' FROM author
            """,
        ),
    ],
)
def test_an_update_moves_updated_at_and_nothing_else(database_url: str, table: str, insert: str) -> None:
    times = f"SELECT created_at, updated_at FROM {table}".encode()  # noqa: S608 (a name from above)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(insert.encode())
        ((created_at, updated_at),) = connection.execute(times).fetchall()
        assert created_at == updated_at

        connection.execute(f"UPDATE {table} SET updated_at = '2000-01-01'".encode())  # noqa: S608 (the same)

        ((created_later, updated_later),) = connection.execute(times).fetchall()
    assert created_later == created_at
    assert updated_later > updated_at


SOMEBODY = "'00000000-0000-0000-0000-000000000001'"


@pytest.mark.parametrize(
    ("read", "index"),
    [
        ("activities ORDER BY created_at DESC, uuid DESC", "activities_created_at_idx"),
        (f"activities WHERE user_uuid = {SOMEBODY} ORDER BY created_at DESC, uuid DESC", "activities_user_uuid_idx"),
        (f"activities WHERE reply_to_activity_uuid = {SOMEBODY} ORDER BY created_at", "activities_reply_to_idx"),
        ("users WHERE handle_key(handle) = handle_key('ada')", "users_handle_key"),
        ("users WHERE lower(handle) = 'ada'", "users_lower_handle_key"),  # of the version before 0004
        ("users WHERE lower(email) = 'ada@example.com'", "users_lower_email_idx"),
        ("users WHERE cognito_user_id = '1'", "users_cognito_user_id_key"),
    ],
)
def test_each_read_has_its_index_and_needs_no_sort(database_url: str, read: str, index: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("SET LOCAL enable_seqscan = off")
        connection.execute("SET LOCAL enable_bitmapscan = off")
        explain = f"EXPLAIN SELECT * FROM {read}"  # noqa: S608 (a query from above)
        plan = "\n".join(row[0] for row in connection.execute(explain.encode()))

    assert index in plan
    assert "Sort" not in plan


def test_there_are_no_other_indexes_than_reads_and_keys_need(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename <> 'alembic_version' AND schemaname = 'public' ORDER BY 1"
        ).fetchall()

    assert [row[0] for row in rows] == [
        "activities_created_at_idx",
        "activities_pkey",
        "activities_reply_to_idx",
        "activities_user_uuid_idx",
        "users_cognito_user_id_key",
        "users_handle_key",
        "users_lower_email_idx",
        "users_lower_handle_key",
        "users_pkey",
        "worker_pause_pkey",
    ]


BEFORE_0005 = """
ALTER TABLE users DROP attributes, DROP profile_at, DROP profile_event, DROP deleted_at,
ALTER display_name SET NOT NULL, ALTER handle SET NOT NULL;
ALTER TABLE activities DROP deleted_at, ALTER message SET NOT NULL;
UPDATE alembic_version SET version_num = '0004';
"""

BEFORE_0004 = (
    BEFORE_0005
    + """
DROP INDEX users_handle_key;
DROP FUNCTION handle_key(text);
UPDATE alembic_version SET version_num = '0003';
"""
)

# As the worker of then did.
INSERT = "INSERT INTO users (cognito_user_id, display_name, handle) VALUES (%s, 'x', %s) ON CONFLICT DO NOTHING"


@pytest.fixture
def database_before_0004(database_url: str) -> str:
    with psycopg.connect(database_url) as connection:
        connection.execute(BEFORE_0004.encode())
    return database_url


# By when they came: each of the first three is the first of its kind.
ALIKE = ["ada", "bob", "Zo\u00eb", "ad\u200ba", "\uff41\uff44\uff41", "B\u00adob", "Zoe\u0308"]


def test_handles_of_before_that_are_alike_stay_as_they_are(database_before_0004: str) -> None:
    with Connection.connect(database_before_0004, autocommit=True) as connection:
        for number, handle in enumerate(ALIKE):
            connection.execute(
                "INSERT INTO users (cognito_user_id, display_name, handle, created_at)"
                " VALUES (%s, 'x', %s, timestamptz '2026-01-31' + %s * interval '1 day')",
                (str(number), handle, number),
            )
        rows = "SELECT uuid, cognito_user_id, handle, updated_at FROM users ORDER BY cognito_user_id"
        before = connection.execute(rows).fetchall()

        assert [revision.number for revision in migrate(database_before_0004)] == ["0004", "0005"]

        assert connection.execute(rows).fetchall() == before
        newcomers = [NewUser(f"new {handle}", "x", f"{handle}\u200d", None, NOON) for handle in ALIKE]
        assert len(insert_users(connection, newcomers).handles_reassigned) == len(ALIKE)
        # Each is found by what it is, and by what it is like.
        for handle in ALIKE:
            assert json.loads(user_with_activities(connection, handle) or b"")["handle"] == handle
        assert json.loads(user_with_activities(connection, "A\ufe0fD\ufe0fA") or b"")["handle"] == "ada"


def test_who_comes_later_is_no_exception(database_before_0004: str) -> None:
    with Connection.connect(database_before_0004, autocommit=True) as connection:
        connection.execute(INSERT, ("1", "ada"))
        connection.execute(INSERT, ("2", "ad\u200ba"))
        migrate(database_before_0004)

        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(
                "INSERT INTO users (cognito_user_id, display_name, handle) VALUES ('3', 'x', 'ad\u200b\u200ba')"
            )


def test_reads_go_on_while_handles_are_indexed_and_sign_ups_wait(database_before_0004: str) -> None:
    statements = (ROOT / "db" / "migrations" / "versions" / "0004_handles_alike.sql").read_text()
    read = b"SELECT count(*) FROM users WHERE lower(handle) = 'ada'"
    with (
        psycopg.connect(database_before_0004) as migration,
        Connection.connect(database_before_0004, autocommit=True) as other,
    ):
        other.execute(INSERT, ("1", "ada"))
        migration.execute(statements.encode())
        other.execute("SET lock_timeout = '100ms'")

        assert other.execute(read).fetchone() == (1,)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute(INSERT, ("2", "bob"))

        migration.commit()
        assert other.execute(INSERT, ("2", "bob")).rowcount == 1
        assert other.execute(read).fetchone() == (1,)


def test_a_database_that_is_not_in_utf8_is_refused_at_once(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        with pytest.raises(psycopg.Error, match="UTF8"):
            migrate(postgres.url("latin"))
        assert tables(postgres.url("latin")) == set()
    finally:
        postgres.drop_database("latin")


def test_a_handle_s_key_is_the_same_in_memory(database_url: str) -> None:
    """So that the tests in memory hold: of each character but what one of the two does not know yet, and of words."""
    known = [character for character in map(chr, range(1, 0x110000)) if unicodedata.category(character) not in "CsCn"]
    texts = [f"a{character}b" for character in known] + ["\u0393\u03a3", "\u0130x", "e\u034f\u0301", "\ufdfa" * 64, ""]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT handle_key(t) FROM unnest(%s::text[]) AS t", (texts,)).fetchall()

    assert [text for text, (key,) in zip(texts, rows, strict=True) if key != handle_key(text)] == []
