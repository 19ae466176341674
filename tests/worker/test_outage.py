"""A worker as a process, whose Postgres goes away; all other ways are in `tests/worker/pipeline` and `tests/faults`."""

import pytest

from db.migrations import migrate
from tests.support.events import sign_up
from tests.support.postgres import Postgres
from tests.support.sqs import Queues
from tests.support.tables import names
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess

VISIBILITY_TIMEOUT = 2  # seconds
MAX_RECEIVE_COUNT = 3
BACK = 60.0  # seconds within which everything is written again


pytestmark = pytest.mark.queues(visibility_timeout=VISIBILITY_TIMEOUT, max_receive_count=MAX_RECEIVE_COUNT)


@pytest.fixture
def database_url(own_postgres: Postgres) -> str:
    url = own_postgres.create_database("app")
    migrate(url)
    return url


def wait_for_users(database_url: str, expected: set[str]) -> None:
    wait_until(lambda: names(database_url) == expected, BACK, "the rows are not there")


def assert_one_outage(worker: WorkerProcess, queues: Queues) -> None:
    worker.wait_for("resumed")
    assert len(worker.events("paused")) == 1, worker
    assert len(worker.events("resumed")) == 1, worker
    assert queues.dead_letter_count() == 0
    wait_until(lambda: not sum(queues.counts()), BACK, "the queue is not empty")
    assert worker.running


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_in_the_middle_of_a_batch_costs_nothing(
    own_postgres: Postgres, queues: Queues, database_url: str, start_worker: StartWorker, mode: str
) -> None:
    expected = {f"user{n}" for n in range(200)}
    worker = start_worker()
    queues.send(*map(sign_up, sorted(expected)))
    worker.wait_for("batch_committed")

    own_postgres.restart("fast" if mode == "fast" else "immediate")

    wait_for_users(database_url, expected)
    wait_until(lambda: not sum(queues.counts()), BACK, "the queue is not empty")
    assert queues.dead_letter_count() == 0
    assert len(worker.events("paused")) == len(worker.events("resumed")) <= 2


def test_a_database_that_was_not_migrated_is_waited_for(
    empty_database_url: str, queues: Queues, start_worker: StartWorker
) -> None:
    queues.send(sign_up("early"))
    worker = start_worker(database_url=empty_database_url)
    paused = worker.wait_for("paused")
    assert "users" in paused["reason"]

    migrate(empty_database_url)

    wait_for_users(empty_database_url, {"early"})
    assert_one_outage(worker, queues)
