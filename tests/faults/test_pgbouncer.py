"""PgBouncer in transaction mode between everything that speaks to the database and Postgres."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from db.migrations import migrate, status
from tests.faults.model import Model
from tests.support.command import command_environment
from tests.support.events import activity, deleted, sign_up, updated
from tests.support.invoke import invoke
from tests.support.outages import BACK, assert_one_outage, wait_for_users
from tests.support.pgbouncer import WHY_MISSING, PgBouncer, is_installed
from tests.support.postgres import Postgres
from tests.support.sqs import Queues
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess

pytestmark = [pytest.mark.process, pytest.mark.skipif(not is_installed(), reason=WHY_MISSING)]

GROUPS = 8
GROUP = 20  # people
REFUSED = "refused"  # a message that a constraint of the operators' own does not let in

MUCH = 120.0  # seconds, far more than anything here takes

# What a session has that another one has not; those that PgBouncer itself looks after are no concern of ours.
SESSION = """
SELECT current_user, current_setting('search_path'), current_setting('statement_timeout'),
    current_setting('lock_timeout'), current_setting('synchronous_commit'),
    current_setting('default_transaction_isolation'), (SELECT count(*) FROM pg_prepared_statements),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())
"""


@pytest.fixture(scope="module")
def pooler(postgres: Postgres) -> Iterator[PgBouncer]:
    """With fewer connections to a database than one worker has writers."""
    with PgBouncer(postgres.port, pool_size=2) as pooler:
        yield pooler


@pytest.fixture(scope="module")
def narrow(postgres: Postgres) -> Iterator[PgBouncer]:
    """With one connection to each database, so that everybody has the session that everybody else had."""
    with PgBouncer(postgres.port, pool_size=1) as pooler:
        yield pooler


def group(model: Model, number: int) -> list[str]:
    """Everything that can happen to people and what they post, and one message of each kind that is refused."""
    prefix = f"user{number}-"
    people = [f"{prefix}{n}" for n in range(GROUP)]
    posts = [str(uuid.uuid4()) for _ in people]
    events = [
        *map(sign_up, people),
        *(activity(name, id=post) for name, post in zip(people, posts, strict=True)),
        *(activity(name, "a reply", id=str(uuid.uuid4()), reply_to=posts[0]) for name in people[:-2]),
        *(updated(name, handle=f"{name}-new") for name in people[::2]),
        *(deleted(name) for name in people[-1:]),
    ]
    return [
        *map(model.add, events),
        *events[::7],
        model.add_broken(f"broken {number}"),
        model.add_broken(activity(people[0], f"{REFUSED} {number}")),
    ]


def load(queues: Queues, model: Model, trouble: Callable[[int], None]) -> None:
    """Send everything, group by group, with some trouble in the middle of each; return when the queue is empty."""
    for number in range(GROUPS):
        queues.send(*group(model, number))
        trouble(number)
        wait_until(lambda: sum(queues.counts()) < GROUP, MUCH, "the queue does not become shorter")
    wait_until(lambda: not sum(queues.counts()), MUCH, "the queue is not empty")


def refuse(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(f"ALTER TABLE activities ADD CHECK (message NOT LIKE '{REFUSED}%')".encode())


def assert_exact(queues: Queues, database_url: str, model: Model, workers: list[WorkerProcess]) -> None:
    model.assert_in(database_url)
    assert {letter.body for letter in queues.dead_letters()} == model.broken
    assert all(worker.running for worker in workers)


def test_the_tables_are_exact_behind_a_pool_that_is_smaller_than_the_workers_and_breaks(
    pooler: PgBouncer, database_url: str, queues: Queues, start_worker: StartWorker
) -> None:
    refuse(database_url)
    url = pooler.through(database_url)
    workers = [start_worker(database_url=url, WRITERS="4", LOG_LEVEL="info") for _ in range(2)]
    model = Model()

    def trouble(number: int) -> None:
        match number % 4:
            case 0:
                pooler.restart()
            case 1:
                pooler.admin("RECONNECT")
            case 2:
                pooler.admin("PAUSE")
                pooler.admin("RESUME")
            case 3:
                pooler.admin("RELOAD")

    load(queues, model, trouble)

    assert_exact(queues, database_url, model, workers)
    assert any(worker.events("paused") for worker in workers)


def test_a_pooler_that_is_paused_is_an_outage_as_soon_as_it_lets_nobody_wait(
    postgres: Postgres, database_url: str, queues: Queues, start_worker: StartWorker
) -> None:
    with PgBouncer(postgres.port, pool_size=5, query_wait_timeout="1") as impatient:
        worker = start_worker(database_url=impatient.through(database_url))
        queues.send(sign_up("before"))
        wait_for_users(database_url, {"before"})

        impatient.admin("PAUSE")
        expected = {f"user{n}" for n in range(20)}
        queues.send(*map(sign_up, expected))
        worker.wait_for("paused")
        impatient.admin("RESUME")

        wait_for_users(database_url, {"before", *expected})
        assert_one_outage(worker, queues)


def session(url: str) -> tuple[int, tuple[Any, ...]]:
    """Which one a client gets now, and what is set in it."""
    with psycopg.connect(url, prepare_threshold=None) as connection:
        [settings] = connection.execute(SESSION.encode()).fetchall()
        [(pid,)] = connection.execute("SELECT pg_backend_pid()").fetchall()
        return pid, settings


def test_nobody_finds_anything_of_others_in_the_session_that_all_have(
    narrow: PgBouncer, empty_database_url: str, queues: Queues, start_worker: StartWorker
) -> None:
    url = narrow.through(empty_database_url)
    before = session(url)
    schema = {"DATABASE_URL": url, "DATABASE_SCHEMA": "signups"}
    owner = schema | {"DATABASE_OWNER": f"owner_{uuid.uuid4().hex}"}

    def run(*args: str, settings: dict[str, str] = schema) -> str:
        done = invoke(*args, environment=command_environment(settings), stdin="y\n")
        assert done.returncode == 0, done.stderr
        assert session(url) == before
        return done.stdout

    for _ in range(2):  # the second time all meet what the first has left
        run("db", "migrate", settings=owner)
        run("db", "status")
        run("db", "grant-reader", "postgres", settings=owner)
    run("pause", "--why", "failover is tested")
    worker = start_worker(database_url=url, DATABASE_SCHEMA="signups", STATEMENT_TIMEOUT_MS="4321")
    worker.wait_for("paused_by_operator")
    queues.send(sign_up("ada"), activity("ada"), updated("ada", handle="grace"), sign_up("gone"), deleted("gone"))
    run("resume")
    wait_until(lambda: not sum(queues.counts()), BACK, "the queue is not empty")
    assert session(url) == before
    assert "grace" in run("feed")
    assert not worker.events("paused")


def test_of_two_migrations_at_once_the_second_finds_nothing_to_do(pooler: PgBouncer, empty_database_url: str) -> None:
    url = pooler.through(empty_database_url)
    with ThreadPoolExecutor() as threads:
        applied = sorted(len(done) for done in threads.map(migrate, [url, url]))

    assert applied == [0, len(status(url))]
