"""What a worker holds when it works for long, and what it asks for when there is nothing to do."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.contestants import WORKER
from benchmarks.database import Database
from benchmarks.latency import ROWS_TIMEOUT, send_steadily, wait_until_receiving
from benchmarks.process_tree import megabytes
from benchmarks.queue_server import QueueServer
from benchmarks.run import CheckFailed, environment_of, process
from tests.support.sqs import Queues

MINUTE = 60  # seconds


@dataclass(frozen=True)
class LongRun:
    """Messages a second, and the memory at the end of each minute."""

    per_second: int
    megabytes: list[float]


@dataclass(frozen=True)
class Idle:
    """The calls for the events queue in so many seconds, by operation."""

    seconds: int
    calls: Mapping[str, int]


def measure_long_run(server: QueueServer, database: Database, per_second: int, minutes: int) -> LongRun:
    """Send at a steady rate. Raises `CheckFailed` if not all messages become rows."""
    found = []
    with _worker(server, database) as (queues, pid):
        for _ in range(minutes):
            send_steadily(queues, per_second * MINUTE, per_second)
            found.append(megabytes(pid))
        expected = per_second * MINUTE * minutes
        database.wait_for_rows(expected, ROWS_TIMEOUT)
        if (rows := database.written().rows) != expected:
            raise CheckFailed(f"after {minutes} minutes: {rows} rows of {expected}")
    return LongRun(per_second, found)


def measure_idle(server: QueueServer, database: Database) -> Idle:
    """Let a worker wait for a minute."""
    with _worker(server, database) as (queues, _):
        time.sleep(MINUTE)
        return Idle(MINUTE, dict(server.counts(queues.events_url).calls))


@contextmanager
def _worker(server: QueueServer, database: Database) -> Iterator[tuple[Queues, int]]:
    """A worker that receives, its queues and its process."""
    database.reset()
    queues = server.queues()
    server.shut()
    with process(WORKER.command, environment_of(WORKER, server, database, queues, queues.events_url)) as running:
        wait_until_receiving(WORKER, server, queues, running.pid)
        yield queues, running.pid
    queues.close()
