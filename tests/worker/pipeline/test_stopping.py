"""A worker stops cleanly when asked, and loses nothing when it is not."""

import random
import time
import uuid
from contextlib import closing

import psycopg
import pytest

from tests.support.events import activity, sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import Queues, SqsServer, create_queues
from tests.support.tables import activities, names
from tests.support.two_batches import hold_two_batches
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker

STOP_LIMIT = 25  # seconds that the worker promises


@pytest.mark.parametrize("signal", ["terminate", "interrupt"])
def test_what_was_not_begun_is_visible_again_at_once(
    queues: Queues, proxy: FaultProxy, database_url: str, start_worker: StartWorker, signal: str
) -> None:
    expected = [f"user{n}" for n in range(11)]
    worker = start_worker(endpoint_url=proxy.endpoint_url, WRITERS="1")
    worker.wait_for("opened")
    with psycopg.connect(database_url) as blocker:
        # Who writes waits for this transaction.
        blocker.execute("LOCK TABLE users IN SHARE MODE")
        hold_two_batches(worker, queues, proxy, list(map(sign_up, expected)))
        getattr(worker, signal)()
        worker.wait_for("stopping")
        blocker.rollback()

        assert worker.wait(STOP_LIMIT) == 0

    assert worker.wait_for("stopped")["clean"] is True
    assert queues.counts() == (10, 0, 0)
    assert names(database_url) == {"user0"}


def test_a_stop_during_an_outage_returns_everything(
    queues: Queues, start_worker: StartWorker, empty_database_url: str
) -> None:
    worker = start_worker(database_url=empty_database_url)
    worker.wait_for("paused")
    queues.send(sign_up("ada"))

    worker.terminate()

    assert worker.wait(STOP_LIMIT) == 0
    assert queues.counts() == (1, 0, 0)


def test_a_second_signal_ends_it_at_once(queues: Queues, database_url: str, start_worker: StartWorker) -> None:
    worker = start_worker(STATEMENT_TIMEOUT_MS="60000", LOCK_TIMEOUT_MS="60000")
    worker.wait_for("opened")
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE users IN SHARE MODE")
        queues.send(sign_up("ada"))
        wait_until(lambda: queues.counts()[1] == 1, 20, "nothing was received")
        worker.terminate()
        worker.wait_for("stopping")

        worker.terminate()

        assert worker.wait(STOP_LIMIT) == 128 + 15
        assert worker.events("stopped") == []


def test_workers_killed_at_random_moments_lose_nothing(
    sqs_server: SqsServer, database_url: str, start_worker: StartWorker
) -> None:
    parents = [str(uuid.UUID(int=n + 1)) for n in range(5)]
    replies = [activity("author", id=str(uuid.UUID(int=n + 100)), reply_to=parents[n % 5]) for n in range(200)]
    sign_ups = [sign_up(f"user{n}") for n in range(200)]
    chance = random.Random(11)
    # A lease that ends soon, so that what a killed worker held is soon back; and attempts for all those kills.
    with closing(create_queues(sqs_server.endpoint_url, visibility_timeout=2, max_receive_count=100)) as queues:
        queues.send(sign_up("author"), *(activity("author", id=parent) for parent in parents))
        assert start_worker("--once", queues=queues).wait(60) == 0
        events = [*sign_ups, *replies, *replies[:100]]
        chance.shuffle(events)
        kills = 0
        while (events or sum(queues.counts())) and kills < 100:
            # By and by: moto is slow with many, and a worker that is killed before it wrote anything proves little.
            queues.send(*events[:60])
            del events[:60]
            worker = start_worker(queues=queues)
            time.sleep(chance.uniform(0.3, 2.0))
            worker.kill()
            worker.wait()
            kills += 1
        assert queues.dead_letter_count() == 0

    assert kills > 3
    assert names(database_url) == {"author", *(f"user{n}" for n in range(200))}
    counts = {str(row[0]): row[3] for row in activities(database_url)}
    assert len(counts) == len(parents) + len(replies)
    assert {parent: counts[parent] for parent in parents} == dict.fromkeys(parents, 40)
