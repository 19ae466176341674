import json
import subprocess
import sys
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from db.migrations import Revision, migrate, status
from db.tables.users import NewUser, insert_users
from signup_sync.postgres.feed import user_with_activities
from tests.support.memory_database import handle_key
from tests.support.ports import free_port
from tests.support.postgres import Postgres

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


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows}


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
        connection.execute("CREATE TABLE activities (of_somebody_else text)")

    with pytest.raises(psycopg.errors.DuplicateTable):
        migrate(empty_database_url)
    assert tables(empty_database_url) == {"activities"}

    with psycopg.connect(empty_database_url) as connection:
        connection.execute("DROP TABLE activities")
    assert migrate(empty_database_url)[0].number == "0001"


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


BEFORE_0004 = """
DROP INDEX users_handle_key;
DROP FUNCTION handle_key(text);
UPDATE alembic_version SET version_num = '0003';
"""


@pytest.fixture
def database_before_0004(database_url: str) -> str:
    with psycopg.connect(database_url) as connection:
        connection.execute(BEFORE_0004.encode())
    return database_url


# By when they came: each of the first three is the first of its kind.
ALIKE = ["ada", "bob", "Zo\u00eb", "ad\u200ba", "\uff41\uff44\uff41", "B\u00adob", "Zoe\u0308"]


def test_handles_of_before_that_are_alike_stay_as_they_are(database_before_0004: str) -> None:
    with psycopg.connect(database_before_0004, autocommit=True) as connection:
        for number, handle in enumerate(ALIKE):
            connection.execute(
                "INSERT INTO users (cognito_user_id, display_name, handle, created_at)"
                " VALUES (%s, 'x', %s, timestamptz '2026-01-31' + %s * interval '1 day')",
                (str(number), handle, number),
            )
        before = connection.execute("SELECT * FROM users ORDER BY cognito_user_id").fetchall()

        assert [revision.number for revision in migrate(database_before_0004)] == ["0004"]

        assert connection.execute("SELECT * FROM users ORDER BY cognito_user_id").fetchall() == before
        newcomers = [NewUser(f"new {handle}", "x", f"{handle}\u200d", None, NOON) for handle in ALIKE]
        assert len(insert_users(connection, newcomers).handles_reassigned) == len(ALIKE)
        # Each is found by what it is, and by what it is like.
        for handle in ALIKE:
            assert json.loads(user_with_activities(connection, handle) or b"")["handle"] == handle
        assert json.loads(user_with_activities(connection, "A\ufe0fD\ufe0fA") or b"")["handle"] == "ada"


def test_who_comes_later_is_no_exception(database_before_0004: str) -> None:
    with psycopg.connect(database_before_0004, autocommit=True) as connection:
        insert_users(connection, [NewUser("1", "x", "ada", None, NOON), NewUser("2", "x", "ad\u200ba", None, NOON)])
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
        psycopg.connect(database_before_0004, autocommit=True) as other,
    ):
        insert_users(other, [NewUser("1", "x", "ada", None, NOON)])
        migration.execute(statements.encode())
        other.execute("SET lock_timeout = '100ms'")

        assert other.execute(read).fetchone() == (1,)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            insert_users(other, [NewUser("2", "x", "bob", None, NOON)])

        migration.commit()
        assert insert_users(other, [NewUser("2", "x", "bob", None, NOON)]).inserted == {"2"}
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
