import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from db.migrations import Revision, migrate, status
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]

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
        ("users WHERE lower(handle) = 'ada'", "users_lower_handle_key"),
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
        "users_lower_email_idx",
        "users_lower_handle_key",
        "users_pkey",
        "worker_pause_pkey",
    ]
