"""What tests of outages of a real Postgres have in common."""

import pytest

from tests.support.sqs import Queues
from tests.support.tables import names
from tests.support.wait import wait_until
from tests.support.worker_process import WorkerProcess

VISIBILITY_TIMEOUT = 2  # seconds
MAX_RECEIVE_COUNT = 3
BACK = 60.0  # seconds within which everything is written again

# An outage that lasts some seconds is longer than all attempts together.
QUEUES = pytest.mark.queues(visibility_timeout=VISIBILITY_TIMEOUT, max_receive_count=MAX_RECEIVE_COUNT)


def wait_for_users(database_url: str, expected: set[str]) -> None:
    wait_until(lambda: names(database_url) == expected, BACK, "the rows are not there")


def assert_one_outage(worker: WorkerProcess, queues: Queues) -> None:
    worker.wait_for("resumed")
    assert len(worker.events("paused")) == 1, worker
    assert len(worker.events("resumed")) == 1, worker
    assert queues.dead_letter_count() == 0
    wait_until(lambda: not sum(queues.counts()), BACK, "the queue is not empty")
    assert worker.running
