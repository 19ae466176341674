"""A primary with a synchronous standby, and one URL for both: the primary is killed, the standby is promoted."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from db.migrations import migrate
from tests.support.events import sign_up
from tests.support.outages import BACK, assert_one_outage, wait_for_users
from tests.support.postgres import Postgres
from tests.support.sqs import Queues, sqs_client
from tests.support.standby import Standby, url_of_both
from tests.support.tables import names
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker

# Leases that no busy machine lets run out: what is given back is visible at once all the same.
pytestmark = pytest.mark.queues(visibility_timeout=30, max_receive_count=3)

ROWS = 2000
AHEAD = 300  # messages in the queue: with more of them moto is slow
SOME_PROBES = 5.0  # seconds
ENOUGH = 120.0  # seconds, far more than anything here takes


@pytest.fixture
def standby(own_postgres: Postgres) -> Iterator[Standby]:
    """Of `own_postgres`, which has the database `app`, and up to date."""
    migrate(own_postgres.create_database("app"))
    with Standby(own_postgres) as standby:
        yield standby


@pytest.fixture
def database_url(own_postgres: Postgres, standby: Standby) -> str:
    """Of both, the first primary before the other."""
    return url_of_both(own_postgres, standby, "app")


def people(count: int, prefix: str = "user") -> set[str]:
    return {f"{prefix}{n}" for n in range(count)}


def sending(queues: Queues, expected: set[str]) -> threading.Thread:
    """Sign them up in a thread, as fast as they are written."""
    left = sorted(expected)

    def run() -> None:
        with closing(sqs_client(queues.endpoint_url)) as client:
            own = Queues(queues.endpoint_url, queues.events_url, queues.dlq_url, client)
            for start in range(0, len(left), 100):
                wait_until(lambda: own.counts()[0] < AHEAD, ENOUGH, "nobody receives")
                own.send(*map(sign_up, left[start : start + 100]))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def cut_connections(server: Postgres) -> None:
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app'")


def start_read_only(server: Postgres, directory: Path) -> None:
    """As a standby of nobody."""
    (directory / "standby.signal").touch()
    server.start()


def wait_for_a_commit_that_waits(server: Postgres) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = 'app'"
    wait_until(lambda: server.execute(waiting) != [(0,)], BACK, "no commit waits for the standby")


def test_what_was_acknowledged_is_on_the_standby_that_is_promoted(
    own_postgres: Postgres, standby: Standby, queues: Queues, start_worker: StartWorker
) -> None:
    ((directory,),) = own_postgres.execute("SHOW data_directory")
    workers = [start_worker(LOG_LEVEL="info"), start_worker(LOG_LEVEL="info")]
    expected = people(ROWS)
    sender = sending(queues, expected)
    wait_until(lambda: len(names(own_postgres.url("app"))) > ROWS / 3, ENOUGH, "nothing is written")
    assert sender.is_alive()

    own_postgres.stop("kill")
    for worker in workers:
        worker.wait_for("paused")
    standby.promote()
    sender.join()

    wait_until(lambda: not sum(queues.counts()), ENOUGH, "the queue is not empty")
    assert names(standby.url("app")) == expected
    assert queues.dead_letters() == []
    for worker in workers:
        assert_one_outage(worker, queues)

    start_read_only(own_postgres, Path(directory))
    before = names(own_postgres.url("app"))
    cut_connections(standby)
    more = people(30, "later")
    queues.send(*map(sign_up, more))

    wait_for_users(standby.url("app"), expected | more)
    assert names(own_postgres.url("app")) == before
    assert queues.dead_letter_count() == 0


def test_a_standby_that_nobody_promotes_is_waited_for_and_a_primary_that_comes_back_acknowledges_nothing(
    own_postgres: Postgres, standby: Standby, queues: Queues, start_worker: StartWorker
) -> None:
    own_postgres.stop("kill")
    first = people(20)
    queues.send(*map(sign_up, first))
    worker = start_worker()
    worker.wait_for("paused")
    time.sleep(SOME_PROBES)
    # Nobody has received any before this look.
    assert list(queues.receive_counts().values()) == [1] * len(first)
    standby.promote()
    wait_for_users(standby.url("app"), first)
    assert_one_outage(worker, queues)

    # Nobody has told it that it is none any more; it commits nothing without the standby that it had.
    own_postgres.start()
    cut_connections(standby)
    second = people(20, "second")
    queues.send(*map(sign_up, second))
    wait_for_a_commit_that_waits(own_postgres)
    assert sum(queues.counts()) == len(second)
    assert names(own_postgres.url("app")).isdisjoint(second)
    own_postgres.stop("kill")

    wait_for_users(standby.url("app"), first | second)
    assert queues.dead_letter_count() == 0


@pytest.mark.queues(visibility_timeout=5, max_receive_count=3)
def test_commits_that_wait_for_a_standby_cost_no_attempts_but_those_of_a_worker_that_was_killed(
    own_postgres: Postgres, standby: Standby, queues: Queues, start_worker: StartWorker
) -> None:
    limits = {"STATEMENT_TIMEOUT_MS": "1000", "LOCK_TIMEOUT_MS": "300"}
    killed = start_worker(**limits)
    killed.wait_for("opened")
    standby.stop()
    expected = people(20)
    queues.send(*map(sign_up, expected))
    wait_for_a_commit_that_waits(own_postgres)
    killed.kill()

    # What the first has written is locked until the standby is there.
    worker = start_worker(**limits)
    assert "synchronous standby" in worker.wait_for("paused")["reason"]
    assert names(own_postgres.url("app")) == set()
    standby.start()

    wait_for_users(own_postgres.url("app"), expected)
    assert_one_outage(worker, queues)
