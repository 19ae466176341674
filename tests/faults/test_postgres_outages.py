"""A real Postgres goes away, and no message is dead because of it, nor has it used its attempts up."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from db.migrations import migrate
from tests.support.events import sign_up
from tests.support.outages import MAX_RECEIVE_COUNT, QUEUES, VISIBILITY_TIMEOUT, assert_one_outage, wait_for_users
from tests.support.postgres import Postgres
from tests.support.sqs import Queues
from tests.support.tcp_proxy import TcpProxy
from tests.support.worker_process import StartWorker

pytestmark = QUEUES


@pytest.fixture
def database_url(own_postgres: Postgres) -> str:
    url = own_postgres.create_database("app")
    migrate(url)
    return url


def test_an_outage_longer_than_all_attempts_costs_nothing(
    own_postgres: Postgres, queues: Queues, database_url: str, start_worker: StartWorker
) -> None:
    workers = [start_worker(), start_worker()]
    queues.send(sign_up("before"))
    wait_for_users(database_url, {"before"})

    own_postgres.stop()
    sent = [f"user{n}" for n in range(60)]
    for name in sent:
        queues.send(sign_up(name))
        time.sleep(1.5 * VISIBILITY_TIMEOUT * MAX_RECEIVE_COUNT / len(sent))
    for worker in workers:
        worker.wait_for("paused")
    counts = queues.receive_counts()
    own_postgres.start()

    # Once by each worker, and once by this look; a renewed message begins anew.
    assert len(counts) == len(sent)
    assert max(counts.values()) <= len(workers) + 1
    wait_for_users(database_url, {"before", *sent})
    for worker in workers:
        assert_one_outage(worker, queues)


def test_a_worker_that_starts_before_the_database_waits_for_it(
    own_postgres: Postgres, queues: Queues, database_url: str, start_worker: StartWorker
) -> None:
    own_postgres.stop()
    queues.send(sign_up("early"))
    worker = start_worker()
    worker.wait_for("paused")
    # Nothing is received meanwhile: it is its first receive when this looks.
    assert list(queues.receive_counts().values()) == [1]

    own_postgres.start()

    wait_for_users(database_url, {"early"})
    assert_one_outage(worker, queues)


def test_a_read_only_failover_costs_nothing(
    own_postgres: Postgres, queues: Queues, database_url: str, start_worker: StartWorker
) -> None:
    worker = start_worker()
    queues.send(sign_up("before"))
    wait_for_users(database_url, {"before"})

    set_read_only(own_postgres, database_url, read_only=True)
    queues.send(sign_up("during"))
    worker.wait_for("paused")
    time.sleep(1.5 * VISIBILITY_TIMEOUT * MAX_RECEIVE_COUNT)
    set_read_only(own_postgres, database_url, read_only=False)

    wait_for_users(database_url, {"before", "during"})
    assert_one_outage(worker, queues)


def set_read_only(postgres: Postgres, database_url: str, *, read_only: bool) -> None:
    """What a client sees when the primary has become a standby: connections are cut, and writes refused."""
    postgres.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if read_only else 'off'}")
    postgres.execute("SELECT pg_reload_conf()")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_lock_held_beyond_the_statement_timeout_costs_nothing(
    queues: Queues, database_url: str, start_worker: StartWorker
) -> None:
    worker = start_worker(STATEMENT_TIMEOUT_MS="600", LOCK_TIMEOUT_MS="500")
    expected = {f"user{n}" for n in range(20)}

    with locked_users(database_url):
        queues.send(*map(sign_up, expected))
        worker.wait_for("paused")
        time.sleep(1.5 * VISIBILITY_TIMEOUT * MAX_RECEIVE_COUNT)

    wait_for_users(database_url, expected)
    assert_one_outage(worker, queues)


@contextmanager
def locked_users(database_url: str) -> Iterator[None]:
    """As during an `ALTER TABLE users`."""
    with psycopg.connect(database_url) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        yield


def test_a_network_that_swallows_everything_costs_nothing(
    own_postgres: Postgres, queues: Queues, database_url: str, start_worker: StartWorker
) -> None:
    with TcpProxy(own_postgres.port) as network:
        worker = start_worker(
            # A peer that keeps its connection and says nothing is noticed by the kernel, within this time.
            database_url=f"{network.through(database_url)}?connect_timeout=2&tcp_user_timeout=2000",
            STATEMENT_TIMEOUT_MS="1000",
        )
        queues.send(sign_up("before"))
        wait_for_users(database_url, {"before"})

        network.freeze()
        queues.send(sign_up("during"))
        threading.Timer(4.0, network.cut).start()
        worker.wait_for("paused")
        time.sleep(VISIBILITY_TIMEOUT * MAX_RECEIVE_COUNT)
        network.thaw()

        wait_for_users(database_url, {"before", "during"})
        assert_one_outage(worker, queues)
