"""The servers that tests run against: a Postgres and an SQS for the session, a database and a pair of queues each."""

import signal
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Protocol

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from db.migrations import migrate
from signup_sync.postgres.statements import Connection
from tests.support.postgres import Postgres
from tests.support.sqs import Queues, SqsServer, create_queues

# A shell's background job ignores Ctrl-C, and so would every process that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every machine, and no example fails for being slow on a busy one.
settings.register_profile(
    "tests",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's Postgres. A test that stops it, or changes its settings, uses `own_postgres`."""
    with Postgres() as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A Postgres, started, that the test may do anything to."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> str:
    """The name of a database that has been migrated, to make copies of."""
    name = "migrated"
    migrate(postgres.create_database(name))
    return name


@pytest.fixture
def database_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """A fresh database with the tables in it."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create_database(name, template=migrated_template)
    postgres.drop_database(name)


@pytest.fixture
def empty_database_url(postgres: Postgres) -> Iterator[str]:
    """A fresh database that has not been migrated."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def sqs_server() -> Iterator[SqsServer]:
    """The session's SQS."""
    with SqsServer() as server:
        yield server


@pytest.fixture
def queues(sqs_server: SqsServer) -> Iterator[Queues]:
    """A fresh pair of queues: visibility timeout 30 seconds, 5 receives."""
    with closing(create_queues(sqs_server.endpoint_url)) as pair:
        yield pair


class CreateRole(Protocol):
    """`options` are those of CREATE ROLE."""

    def __call__(self, options: str = "") -> str: ...


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A connection in a transaction that nobody commits, unless the test does."""
    with closing(psycopg.connect(database_url)) as connection:
        yield connection


@pytest.fixture
def role(postgres: Postgres, database_url: str) -> Iterator[CreateRole]:
    """Makes a role without any rights on the tables, and returns its database URL."""
    name = f"role_{uuid.uuid4().hex}"

    def create(options: str = "") -> str:
        postgres.execute(f"CREATE ROLE {name} LOGIN {options}")
        return database_url.replace("postgres@", f"{name}@")

    yield create
    postgres.execute(f"DROP ROLE IF EXISTS {name}")
