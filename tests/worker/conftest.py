"""Workers on the test's queues and database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import Queues
from tests.support.worker_process import WorkerProcess, worker_environment
from tests.worker.dlq import Dlq

# A poll that ends soon lets a worker stop soon.
SETTINGS = {"RECEIVE_WAIT_SECONDS": "1", "LOG_LEVEL": "debug"}

StartWorker = Callable[..., WorkerProcess]


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
                settings={**SETTINGS, **settings},
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
