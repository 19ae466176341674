"""A worker as a process, whose Postgres goes away; all other ways are in `tests/worker/pipeline` and `tests/faults`."""

import time

import psycopg
import pytest

from db.migrations import migrate
from tests.support.events import sign_up
from tests.support.outages import BACK, QUEUES, assert_one_outage, wait_for_users
from tests.support.postgres import Postgres
from tests.support.sqs import Queues
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker

pytestmark = QUEUES


@pytest.fixture
def database_url(own_postgres: Postgres) -> str:
    url = own_postgres.create_database("app")
    migrate(url)
    return url


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


def test_inserts_that_are_slow_while_all_else_is_quick_cost_nothing(
    database_url: str, queues: Queues, start_worker: StartWorker
) -> None:
    with psycopg.connect(database_url) as operator:
        operator.execute("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); END'")
        operator.execute("CREATE TRIGGER slow BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION wait()")
    worker = start_worker(STATEMENT_TIMEOUT_MS="200", MAX_ATTEMPTS="1")
    queues.send(sign_up("ada"))
    assert "statement timeout" in worker.wait_for("paused")["reason"]
    time.sleep(3)  # in which the worker could have gone on

    with psycopg.connect(database_url) as operator:
        operator.execute("DROP TRIGGER slow ON users")

    wait_for_users(database_url, {"ada"})
    assert_one_outage(worker, queues)


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
