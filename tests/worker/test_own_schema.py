"""The worker and the commands, with their tables in DATABASE_SCHEMA beside an application's own."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from tests.support.application import OWN_SCHEMA
from tests.support.events import activity, sign_up
from tests.support.invoke import invoke
from tests.support.sqs import Queues, SqsServer
from tests.support.user_pool import AdministratedPool, cognito_environment
from tests.support.worker_process import WorkerProcess, worker_environment


@pytest.fixture
def run(shared_database_url: str, queues: Queues) -> Callable[..., str]:
    """Run a command that succeeds, and return its standard output."""
    settings = {"DATABASE_SCHEMA": OWN_SCHEMA, **cognito_environment(queues.endpoint_url)}
    environment = worker_environment(shared_database_url, queues, settings=settings)

    def run_command(*args: str) -> str:
        done = invoke(*args, environment=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_command


@pytest.fixture
def pool(sqs_server: SqsServer) -> Iterator[AdministratedPool]:
    with closing(AdministratedPool.create(sqs_server.endpoint_url)) as made:
        yield made


def test_the_worker_writes_there_and_operators_look_there(
    shared_database_url: str,
    queues: Queues,
    drain: Callable[..., WorkerProcess],
    run: Callable[..., str],
    pool: AdministratedPool,
) -> None:
    sub = pool.confirm("ada", name="Ada Lovelace")
    queues.send(sign_up(sub, handle="ada"), activity(sub, message="hello"))

    drain(database_url=shared_database_url, DATABASE_SCHEMA=OWN_SCHEMA)

    assert queues.dead_letter_count() == 0
    posted = json.loads(run("feed", "--json"))
    assert (posted["handle"], posted["message"]) == ("ada", "hello")
    seen = json.loads(run("reconcile", "--user-pool-id", pool.id, "--dry-run", "--json"))
    assert (seen["summary"]["present"], seen["summary"]["missing"]) == (1, 0)
    with psycopg.connect(shared_database_url) as application:
        assert application.execute("SELECT id, email FROM users").fetchall() == [(1, "somebody@example.com")]


def test_the_database_s_commands_work_there(run: Callable[..., str]) -> None:
    assert run("db", "migrate") == "up to date\n"
    assert run("db", "status").startswith("applied 0001 ")
    assert run("db", "seed") == "loaded 5 users and 12 activities\n"
    assert run("pause", "--why", "failover", "--who", "grace", "--yes")
    assert run("resume", "--yes") == "all workers go on\n"
