"""What roles may do: in `public`, and in a schema of our own beside an application's tables."""

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from db.admin.roles import NoSuchRole, grant_reader, grant_reconciler, grant_worker
from db.pool import Database, connect
from db.tables.activities import NewActivity, insert_activities
from db.tables.users import NewUser, find_profiles, find_users, insert_users, list_users
from signup_sync.postgres.feed import activity_with_replies, home_feed, user_with_activities
from tests.support.application import OWN_SCHEMA
from tests.support.postgres import CreateRole, Postgres

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ADA = NewUser("1", "Ada", "ada", "ada@example.com", NOON)
HELLO = NewActivity(uuid.UUID(int=1), "1", "hello", None, None, NOON)


def test_the_worker_works_in_a_schema_of_its_own(postgres: Postgres, shared_database_url: str) -> None:
    role = f"worker_{uuid.uuid4().hex}"
    assert grant_worker(shared_database_url, role, schema=OWN_SCHEMA)
    assert not grant_worker(shared_database_url, role, schema=OWN_SCHEMA)
    url = shared_database_url.replace("postgres@", f"{role}@")

    with closing(
        Database(url, schema=OWN_SCHEMA, max_connections=1, statement_timeout_ms=5000, lock_timeout_ms=5000)
    ) as database:
        database.open()
        database.probe()
        database.rehearse()
        assert database.read_pause() is None
        with database.transaction() as connection:
            assert insert_users(connection, [ADA]).inserted == {"1"}
            assert insert_activities(connection, [HELLO]).inserted == {HELLO.uuid}

    for statement in ('SELECT email FROM "Sign-ups".users', "SELECT FROM public.users", "CREATE TABLE public.mine ()"):
        assert not may(url, statement)
    postgres.drop_database(str(conninfo_to_dict(url)["dbname"]))
    postgres.execute(f"DROP ROLE {role}")


@pytest.fixture(params=["public", OWN_SCHEMA])
def newcomer(request: pytest.FixtureRequest, role: CreateRole) -> Iterator[tuple[str, str, str]]:
    """The owner's URL, a role that may do nothing yet, and the schema."""
    schema: str = request.param
    url = request.getfixturevalue("database_url" if schema == "public" else "shared_database_url")
    with closing(connect(url, schema)) as owner:
        insert_users(owner, [ADA])
        insert_activities(owner, [HELLO])
    name = str(conninfo_to_dict(role())["user"])
    yield url, name, schema
    with psycopg.connect(url) as owner:
        owner.execute(f"DROP OWNED BY {name}".encode())


@pytest.fixture
def granted(newcomer: tuple[str, str, str]) -> tuple[str, str]:
    """The URL of an application's role that may read, and the schema."""
    url, name, schema = newcomer
    for _ in range(2):
        grant_reader(url, name, schema=schema)
    return url.replace("postgres@", f"{name}@"), schema


@pytest.fixture
def reconciler(newcomer: tuple[str, str, str]) -> tuple[str, str]:
    """The URL of a role that may compare, and the schema."""
    url, name, schema = newcomer
    for _ in range(2):
        assert not grant_reconciler(url, name, schema=schema)
    return url.replace("postgres@", f"{name}@"), schema


def test_a_reader_reads_all_feeds_whatever_its_search_path_is(granted: tuple[str, str]) -> None:
    url, schema = granted
    for search_path in ("public", "pg_catalog"):
        with psycopg.connect(url, options=f"-c search_path={search_path}") as reader:
            assert json.loads(home_feed(reader, schema=schema))[0]["handle"] == "ada"
            assert json.loads(user_with_activities(reader, "ADA", schema=schema) or b"")["handle"] == "ada"
            assert json.loads(activity_with_replies(reader, HELLO.uuid, schema=schema) or b"")["message"] == "hello"


def test_a_reader_finds_a_user_by_their_sub(granted: tuple[str, str]) -> None:
    url, schema = granted
    assert may(url, f"SELECT uuid, updated_at FROM \"{schema}\".users WHERE cognito_user_id = '1'")  # noqa: S608 (made here)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT email FROM {}.users",
        "SELECT * FROM {}.users",
        "SELECT FROM {}.worker_pause",
        "SELECT FROM {}.alembic_version",
        "INSERT INTO {}.users (cognito_user_id, display_name, handle) VALUES ('2', 'x', 'x')",
        "UPDATE {}.activities SET likes_count = 1",
        "DELETE FROM {}.activities",
        "CREATE TABLE {}.mine ()",
    ],
)
def test_a_reader_may_do_nothing_else(granted: tuple[str, str], statement: str) -> None:
    url, schema = granted
    assert not may(url, statement.format(f'"{schema}"'))


def test_a_reader_that_is_not_there_is_not_made(database_url: str) -> None:
    with pytest.raises(NoSuchRole, match=r"^there is no role nobody_at_all"):
        grant_reader(database_url, "nobody_at_all")


def test_a_reconciler_reads_what_is_compared(reconciler: tuple[str, str]) -> None:
    url, schema = reconciler
    with closing(connect(url, schema)) as connection:
        assert find_users(connection, ["1"]).keys() == {"1"}
        assert find_profiles(connection, ["1"])["1"].email == "ada@example.com"
        assert list(list_users(connection, page_size=10, created_before=datetime.now(UTC))) == [["1"]]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM {}.users",
        "SELECT profile_event, updated_at FROM {}.users",
        "SELECT FROM {}.activities",
        "SELECT FROM {}.worker_pause",
        "SELECT FROM {}.alembic_version",
        "SELECT uuid FROM {}.users FOR SHARE",
        "INSERT INTO {}.users (cognito_user_id) VALUES ('2')",
        "UPDATE {}.users SET email = NULL",
        "DELETE FROM {}.users",
        "CREATE TABLE {}.mine ()",
    ],
)
def test_a_reconciler_may_do_nothing_else(reconciler: tuple[str, str], statement: str) -> None:
    url, schema = reconciler
    assert not may(url, statement.format(f'"{schema}"'))


def may(url: str, statement: str) -> bool:
    """Whether the statement is allowed; it is rolled back."""
    with closing(psycopg.connect(url)) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True
