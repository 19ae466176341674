"""The system monitor: what it says of the database."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

from psycopg_pool import PoolTimeout

from db.connection import Connection
from db.pool import Database, connect
from tests.support.sqs import Queues
from worker.aws.sqs import Queue, QueueAttributes
from worker.console.system_monitor import SystemMonitor
from worker.dead_letters.source_queues import SourceQueues


class DatabaseAfterAnOutage(Database):
    """Its pool does not try again for minutes, as that of psycopg_pool after a long outage."""

    def __init__(self, url: str) -> None:
        super().__init__(url, max_connections=1, statement_timeout_ms=1000, lock_timeout_ms=1000)
        self._own_url = url
        self.is_new = False

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        if not self.is_new:
            raise PoolTimeout("couldn't get a connection after 3.00 sec")
        with closing(connect(self._own_url)) as connection:
            yield connection

    def reset(self) -> None:
        self.is_new = True


class OddQueue(Queue):
    """Of which the answers are not those of SQS."""

    is_odd = True

    def describe(self) -> QueueAttributes:
        if self.is_odd:
            raise KeyError("Attributes")
        return super().describe()


def test_an_answer_that_nobody_expects_is_said_and_asked_for_again(queues: Queues, database_url: str) -> None:
    queue = OddQueue(queues.events_url, queues.client)
    database = Database(database_url, max_connections=1, statement_timeout_ms=1000, lock_timeout_ms=1000)
    with ThreadPoolExecutor(2) as executor:
        monitor = SystemMonitor(SourceQueues({"events": queue}), queue, (), database, executor, None)
        database.open()
        monitor.start()
        failed = monitor.seen()
        queue.is_odd = False
        monitor.ask_again()
        mended = monitor.seen()
        monitor.stop()
        database.close()

    assert failed is not None
    assert failed.problem == "it failed (KeyError); the console's log says where"
    assert mended is not None
    assert mended.problem is None
    assert mended.visible == 0


def test_a_database_that_is_back_is_said_to_be_at_once(queues: Queues, database_url: str) -> None:
    queue = Queue(queues.events_url, queues.client)
    database = DatabaseAfterAnOutage(database_url)
    with ThreadPoolExecutor(2) as executor:
        monitor = SystemMonitor(SourceQueues({"events": queue}), queue, (), database, executor, None)
        monitor.start()
        seen = monitor.seen()
        monitor.stop()

    assert seen is not None
    assert seen.database_problem is None
    assert database.is_new
