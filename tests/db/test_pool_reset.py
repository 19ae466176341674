"""A reset that fails, as during an outage all do but the last one: the pool that there was goes on, and no other."""

import threading
from contextlib import closing

import psycopg
import pytest

from db.pool import Database
from tests.support.ports import free_port
from tests.support.wait import wait_until


def pool_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("pool-")}


@pytest.mark.process  # it waits as long as a new pool may need
def test_a_reset_that_fails_leaves_the_pool_as_it_was_and_nothing_behind(database_url: str) -> None:
    urls = [database_url]
    database = Database(lambda: urls[-1], max_connections=1, statement_timeout_ms=10_000, lock_timeout_ms=5000)
    database.open()
    with closing(database):
        with database.transaction() as connection:
            pid = connection.info.backend_pid
        threads = pool_threads()
        urls.append(f"postgresql://postgres@127.0.0.1:{free_port()}/gone")

        with pytest.raises(psycopg.OperationalError):
            database.reset()

        with database.transaction() as connection:
            assert connection.info.backend_pid == pid
        wait_until(lambda: pool_threads() <= threads, timeout=10, message="the new pool goes on")
