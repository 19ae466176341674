"""Migration 0005 under traffic: a million users, and workers of the version before and of this one, in both orders."""

import threading
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.errors import LockNotAvailable, QueryCanceled
from psycopg.rows import TupleRow

from db.migrations import migrate, status
from tests.db.test_migrations import BEFORE_0005
from tests.support.events import activity, deleted, sign_up, updated
from tests.support.postgres import Postgres
from tests.support.sqs import Queues
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker

ROWS = 1_000_000
WRITERS = 2
BATCH = 10
BACK = 60.0  # seconds
LOCK_TIMEOUT = "5s"  # LOCK_TIMEOUT_MS of a worker, its default
STATEMENT_TIMEOUT = "10s"

# The statements of the worker before, each with what it had (63561d8: db/sql/insert_users.sql and so on).
LIMITS = "SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true)"
INSERT_USERS = """
INSERT INTO public.users (cognito_user_id, display_name, handle, email, created_at)
SELECT *
FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[])
ON CONFLICT DO NOTHING
RETURNING cognito_user_id
"""
FIND_USERS = "SELECT cognito_user_id, uuid FROM public.users WHERE cognito_user_id = ANY(%s::text[])"
INSERT_ACTIVITIES = """
INSERT INTO public.activities (uuid, user_uuid, message, reply_to_activity_uuid, expires_at, created_at)
SELECT *
FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::uuid[], %b::timestamptz[], %b::timestamptz[])
ON CONFLICT (uuid) DO NOTHING
RETURNING uuid
"""
COUNT_REPLIES = """
WITH new_replies AS (SELECT * FROM unnest(%s::uuid[], %s::integer[]) AS t (uuid, replies)),
locked AS (SELECT uuid FROM public.activities WHERE uuid = ANY(%s::uuid[]) ORDER BY uuid FOR NO KEY UPDATE)
UPDATE public.activities
SET replies_count = activities.replies_count + new_replies.replies
FROM locked
INNER JOIN new_replies USING (uuid)
WHERE activities.uuid = locked.uuid
"""

MANY = """
INSERT INTO users (cognito_user_id, display_name, handle, email)
SELECT 'user-' || n, 'Somebody', 'user-' || n, 'user-' || n || '@example.com' FROM generate_series(1, %s) AS n
"""


class Before:
    """Workers of the version before, each on a connection of its own; `errors` are those that a statement had."""

    def __init__(self, database_url: str) -> None:
        self.transactions = 0
        self.errors: list[psycopg.Error] = []
        self._url = database_url
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(WRITERS)]

    def __enter__(self) -> "Before":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def write_more(self) -> None:
        """Wait until both have written again, or one cannot."""
        enough = self.transactions + 3 * WRITERS
        wait_until(lambda: bool(self.errors) or self.transactions >= enough, BACK, "nobody writes")

    def _run(self, number: int) -> None:
        with psycopg.connect(self._url) as connection:
            batch = 0
            while not self._stopped.is_set():
                try:
                    self._transaction(connection, f"before-{number}-{batch}")
                except psycopg.Error as error:
                    self.errors.append(error)
                    return
                batch += 1
                self.transactions += 1

    @staticmethod
    def _transaction(connection: psycopg.Connection[TupleRow], prefix: str) -> None:
        """People, a post of each, and replies to the first one."""
        names = [f"{prefix}-{n}" for n in range(BATCH)]
        posts = [uuid.uuid4() for _ in names]
        none, time = [None] * BATCH, ["2026-01-31T12:00:00Z"] * BATCH
        with connection.transaction():
            connection.execute(LIMITS, (STATEMENT_TIMEOUT, LOCK_TIMEOUT))
            connection.execute(INSERT_USERS, (names, names, names, none, time))
            uuids: dict[str, uuid.UUID] = dict(connection.execute(FIND_USERS, (names,)).fetchall())
            authors = [uuids[name] for name in names]
            parents = [None, *[posts[0]] * (BATCH - 1)]
            connection.execute(INSERT_ACTIVITIES, (posts, authors, names, parents, none, time))
            connection.execute(COUNT_REPLIES, ([posts[0]], [BATCH - 1], [posts[0]]))


@pytest.fixture(scope="module")
def template_before_0005(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """The name of a database of the version before, with a million users, to make copies of."""
    name = "a_million"
    with psycopg.connect(postgres.create_database(name, template=migrated_template)) as connection:
        connection.execute(BEFORE_0005.encode())
        connection.execute(MANY, (ROWS,))
    yield name
    postgres.drop_database(name)


@pytest.fixture
def large_url(postgres: Postgres, template_before_0005: str) -> Iterator[str]:
    name = f"large_{uuid.uuid4().hex}"
    yield postgres.create_database(name, template=template_before_0005)
    postgres.drop_database(name)


@pytest.fixture
def small_url(database_url: str) -> str:
    """A database of the version before, without rows."""
    with psycopg.connect(database_url) as connection:
        connection.execute(BEFORE_0005.encode())
    return database_url


@pytest.mark.parametrize("worker_first", [False, True], ids=["migration_first", "worker_first"])
def test_with_workers_of_before_and_after(
    large_url: str, queues: Queues, start_worker: StartWorker, worker_first: bool
) -> None:
    """The worker of this version waits for the migration, and those of before never wait too long for it."""
    bodies = [sign_up("ada", attributes={"locale": "en"}), activity("ada"), updated("ada", handle="lovelace")]
    queues.send(*bodies, sign_up("bob"), activity("bob"))
    files = file_nodes(large_url)
    with Before(large_url) as before:
        before.write_more()
        worker = start_worker(database_url=large_url) if worker_first else None
        if worker:
            worker.wait_for("paused")

        assert [revision.number for revision in migrate(large_url)] == ["0005"]

        worker = worker or start_worker(database_url=large_url)
        wait_until(lambda: not sum(queues.counts()), BACK, "the queue is not empty")
        queues.send(deleted("bob"))
        wait_until(lambda: not sum(queues.counts()), BACK, "nobody is deleted")
        before.write_more()

    assert before.errors == []
    assert queues.dead_letter_count() == 0
    assert file_nodes(large_url) == files  # no row was written anew
    with psycopg.connect(large_url) as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM activities), (SELECT sum(replies_count) FROM"
            " activities)"
        ).fetchone()
        people = connection.execute(
            "SELECT handle, attributes, deleted_at IS NULL FROM users WHERE cognito_user_id IN ('ada', 'bob')"
            " ORDER BY handle"
        ).fetchall()
    written = before.transactions * BATCH
    assert counts == (ROWS + written + 2, written + 2, before.transactions * (BATCH - 1))
    assert people == [("lovelace", {}, True), (None, {}, False)]


def test_it_gives_up_before_those_behind_it_do(small_url: str) -> None:
    """Somebody reads for long, first from one table and then from the other: it waits for each by itself."""
    with (
        psycopg.connect(small_url) as reader,
        psycopg.connect(small_url) as another,
        Before(small_url) as before,
    ):
        before.write_more()
        reader.execute("SELECT FROM users")
        another.execute("SELECT FROM activities")
        failures: list[psycopg.Error] = []
        migration = threading.Thread(target=lambda: failures.append(failure(small_url)))
        migration.start()
        wait_until(lambda: waiting(small_url) > WRITERS, BACK, "nobody waits")
        reader.rollback()
        migration.join()
        before.write_more()

    assert [type(error) for error in failures] == [LockNotAvailable]
    assert before.errors == []
    assert not status(small_url)[-1].applied
    assert migrate(small_url)


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        ({"lock_timeout": "100ms", "statement_timeout": "1s"}, LockNotAvailable),
        ({"lock_timeout": "60s", "statement_timeout": "2500ms"}, QueryCanceled),
        ({"statement_timeout": "100ms"}, QueryCanceled),
        ({}, LockNotAvailable),
    ],
    ids=str,
)
def test_the_operator_s_own_limits_hold(small_url: str, settings: dict[str, str], refusal: type[psycopg.Error]) -> None:
    """Where it waits, the limit that is reached first says which of them hold."""
    options = "%20".join(f"-c%20{name}%3D{value}" for name, value in settings.items())
    with psycopg.connect(small_url) as reader:
        reader.execute("SELECT FROM users")

        assert type(failure(f"{small_url}?options={options}")) is refusal

    assert migrate(small_url)


def failure(database_url: str) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as caught:
        migrate(database_url)
    return caught.value


def waiting(database_url: str) -> int:
    """How many wait for a lock."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def file_nodes(database_url: str) -> list[tuple[object, ...]]:
    """Where the tables and their indexes are; elsewhere after any statement that writes all rows."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT relname, pg_relation_filenode(oid) FROM pg_class WHERE relname ~ '^(users|activities)' ORDER BY 1"
        ).fetchall()
