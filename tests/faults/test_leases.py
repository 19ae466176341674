"""As processes: what takes long to write stays ours; what was lost is not counted as done twice."""

import psycopg
import pytest

from tests.support.events import sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import Queues
from tests.support.tables import names
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker

VISIBILITY_TIMEOUT = 2  # seconds


pytestmark = pytest.mark.queues(visibility_timeout=VISIBILITY_TIMEOUT)


def write_slowly(database_url: str, seconds: float) -> None:
    """From now on each statement that inserts users takes so long."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$"
        )
        connection.execute("CREATE TRIGGER wait BEFORE INSERT ON users FOR EACH STATEMENT EXECUTE FUNCTION wait()")


def test_a_batch_that_takes_longer_than_the_visibility_timeout_is_received_once(
    queues: Queues, database_url: str, start_worker: StartWorker
) -> None:
    write_slowly(database_url, 3 * VISIBILITY_TIMEOUT)
    workers = [start_worker(), start_worker()]
    queues.send(sign_up("ada"), sign_up("grace"))

    wait_until(lambda: names(database_url) == {"ada", "grace"}, 60, "the rows are not there")
    wait_until(lambda: not sum(queues.counts()), 30, "the queue is not empty")

    committed = [line["messages"] for worker in workers for line in worker.events("batch_committed")]
    assert sum(committed) == 2
    assert queues.dead_letter_count() == 0


def test_a_lease_that_cannot_be_extended_costs_a_second_delivery_and_no_more(
    queues: Queues, database_url: str, start_worker: StartWorker
) -> None:
    write_slowly(database_url, 3 * VISIBILITY_TIMEOUT)
    with FaultProxy(queues.endpoint_url) as sqs:
        sqs.fail("ChangeMessageVisibilityBatch")
        start_worker(endpoint_url=sqs.endpoint_url)
        start_worker(endpoint_url=sqs.endpoint_url)
        queues.send(sign_up("ada"))

        wait_until(lambda: names(database_url) == {"ada"}, 60, "the row is not there")
        wait_until(lambda: not sum(queues.counts()), 60, "the queue is not empty")

    assert queues.dead_letter_count() == 0
