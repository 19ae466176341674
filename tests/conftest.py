"""What tests run against: a Postgres and an SQS for the session, and of each test's own a database, queues, workers."""

import gc
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from db.admin.distribution import distribute
from db.connection import Connection
from db.migrations import migrate
from db.pool import connect
from tests.support.application import OWN_SCHEMA, TABLES
from tests.support.citus import Cluster, is_installed
from tests.support.dlq import Dlq
from tests.support.fault_proxy import FaultProxy
from tests.support.postgres import CreateRole, Postgres
from tests.support.sqs import Queues, SqsServer, create_queues
from tests.support.worker_process import StartWorker, WorkerProcess, worker_environment

# A poll that ends soon lets a worker stop soon.
WORKER_SETTINGS = {"RECEIVE_WAIT_SECONDS": "1", "LOG_LEVEL": "debug"}

# A shell's background job ignores Ctrl-C, and so would every process that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every machine, and no example fails for being slow on a busy one.
settings.register_profile(
    "tests",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("fast", settings.get_profile("tests"), max_examples=10)  # of `make test-fast`
settings.load_profile("tests")


# What a test that needs none of these, and starts no process itself, can do without.
_SERVERS = {"postgres", "own_postgres", "cluster", "sqs_server", "start_worker", "start_console"}

_processes_are_expected = True


# What is collected stays until the end: the collector of garbage need not look at it between any two tests.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(10_000)  # new objects between two collections: with Python's 700 they take a tenth of the time
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)


def _refuse_processes(event: str, _: object) -> None:
    if event == "subprocess.Popen" and not _processes_are_expected:
        raise AssertionError("this test starts a process: give it the marker `process`")


sys.addaudithook(_refuse_processes)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """So that `make test-fast` is fast, on any machine: a test has a marker for what it needs besides its own code."""
    global _processes_are_expected  # noqa: PLW0603 (an audit hook is for the whole process)
    _processes_are_expected = any(item.get_closest_marker(name) for name in ("server", "process", "node", "browser"))
    result = yield
    _processes_are_expected = True
    return result


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
def shared_template(postgres: Postgres) -> str:
    """The name of a database in which ours are beside an application's, in `OWN_SCHEMA`, to make copies of."""
    name = "shared"
    url = postgres.create_database(name)
    with closing(psycopg.connect(url, autocommit=True)) as application:
        application.execute(TABLES)
    migrate(url, OWN_SCHEMA)
    return name


@pytest.fixture
def shared_database_url(postgres: Postgres, shared_template: str) -> Iterator[str]:
    """A fresh database in which our tables are beside an application's, in `OWN_SCHEMA`."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create_database(name, template=shared_template)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The session's cluster of Citus: a test that takes nodes away brings them back."""
    if not is_installed():
        pytest.skip("there is no Citus for any Postgres of the system: make test-distributed CITUS=DIR")
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def _distributed_url(cluster: Cluster) -> str:
    url = cluster.create_database("distributed")
    migrate(url)
    with closing(connect(url)) as connection:
        distribute(connection)
    return url


@pytest.fixture
def distributed_url(_distributed_url: str) -> Iterator[str]:
    """Our tables, empty, over the nodes of the session's cluster."""
    yield _distributed_url
    with closing(psycopg.connect(_distributed_url, autocommit=True)) as connection:
        connection.execute("TRUNCATE users, activities, worker_pause")


@pytest.fixture(scope="session")
def sqs_server() -> Iterator[SqsServer]:
    """The session's SQS."""
    with SqsServer() as server:
        yield server


@pytest.fixture
def queues(sqs_server: SqsServer, request: pytest.FixtureRequest) -> Iterator[Queues]:
    """A fresh pair of queues: visibility timeout 30 seconds, 5 receives, or as the marker `queues` says."""
    marker = request.node.get_closest_marker("queues")
    with closing(create_queues(sqs_server.endpoint_url, **(marker.kwargs if marker else {}))) as pair:
        yield pair


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A connection in a transaction that nobody commits, unless the test does."""
    with closing(Connection.connect(database_url)) as connection:
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


@pytest.fixture
def proxy(queues: Queues) -> Iterator[FaultProxy]:
    """A way to the test's queues that fails on demand."""
    with FaultProxy(queues.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def dlq(queues: Queues) -> Dlq:
    """The test's dead-letter queue."""
    return Dlq(queues)


@pytest.fixture
def start_worker(request: pytest.FixtureRequest) -> Iterator[StartWorker]:
    """Start a worker, and wait until it says so: `start_worker("--once", endpoint_url=..., MAX_ATTEMPTS="3")`.

    Its queues and database are the test's own (`queues`, `database_url`) unless they are given.
    """
    with ExitStack() as stack:

        def start(
            *args: str,
            queues: Queues | None = None,
            database_url: str | None = None,
            endpoint_url: str | None = None,
            wait: bool = True,
            module: str = "worker",
            **settings: str,
        ) -> WorkerProcess:
            environment = worker_environment(
                database_url or request.getfixturevalue("database_url"),
                queues or request.getfixturevalue("queues"),
                endpoint_url=endpoint_url,
                settings={**WORKER_SETTINGS, **settings},
            )
            worker = stack.enter_context(WorkerProcess(*args, environment=environment, module=module))
            if wait:
                worker.wait_for("started")
            return worker

        yield start


@pytest.fixture
def drain(start_worker: StartWorker) -> Callable[..., WorkerProcess]:
    """Run a worker until the queue is empty."""

    def run(**arguments: object) -> WorkerProcess:
        worker = start_worker("--once", **arguments)
        assert worker.wait(120) == 0, worker
        return worker

    return run
