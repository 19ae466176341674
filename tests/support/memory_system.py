"""A whole worker in the test's own process: real threads and real code, on SQS, a database and a time in memory."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.testing import capture_logs

from db.tables.worker_pause import WorkerPause
from signup_sync.sqs import Outgoing
from tests.support.memory_database import MemoryDatabase
from tests.support.memory_sqs import MemoryQueue, MemorySqs, Message
from tests.support.virtual_clock import VirtualClock
from worker.assembly import Remote, Worker
from worker.aws.sqs import Queue, text_attribute
from worker.clock import Thread
from worker.settings import WorkerSettings

SETTLED = 3600.0  # seconds of the clock, within which all that can be done is done

LogLine = MutableMapping[str, Any]

SETTINGS = {"admin_address": "off", "threads": 4, "database_url": "postgresql://memory", "sqs_client": "boto3"}


class MemorySystem:
    """Queues and a database; `worker` starts a worker on them, as often as one wants.

    There is an activities queue once `add_activities_queue` was called; workers that are started then have it. Nothing
    happens but while the test lets time pass (`clock`). `log` is what all workers have logged.
    """

    def __init__(self, clock: VirtualClock, log: list[LogLine], **queues: Any) -> None:
        self.clock = clock
        self.log = log
        self.sqs = MemorySqs(clock)
        self.database = MemoryDatabase(clock)
        self.events_url, self.dead_letters_url = self.sqs.create(**queues)
        self.activities_url: str | None = None

    @property
    def events(self) -> MemoryQueue:
        return self.sqs.queue(self.events_url)

    def add_activities_queue(self, **queue: Any) -> MemoryQueue:
        self.activities_url = self.sqs.add_source(self.dead_letters_url, **queue)
        return self.sqs.queue(self.activities_url)

    @property
    def dead_letters(self) -> list[Message]:
        return self.sqs.queue(self.dead_letters_url).messages

    def send(self, *bodies: str, to: str | None = None, **attributes: str) -> None:
        """Into the events queue, or that of another URL, with these message attributes.

        Whatever SQS's faults are, and none of the calls that are counted.
        """
        sender = Queue(to or self.events_url, self.sqs.client)
        texts = {name: text_attribute(value) for name, value in attributes.items()}
        faults, self.sqs.faults = self.sqs.faults, []
        calls, self.sqs.calls = self.sqs.calls, []
        for start in range(0, len(bodies), 10):
            assert not sender.send([Outgoing(body, texts) for body in bodies[start : start + 10]])
        self.sqs.faults, self.sqs.calls = faults, calls

    def worker(self, *, until_empty: bool = False, **settings: Any) -> "RunningWorker":
        """Start one; `settings` are fields of `WorkerSettings`."""
        client = self.sqs.client
        worker = Worker(
            WorkerSettings(
                queue_url=self.events_url,
                dlq_url=self.dead_letters_url,
                **{"activities_queue_url": self.activities_url, **SETTINGS, **settings},
            ),
            until_empty=until_empty,
            remote=Remote(client, client, client, self.database),
            clock=self.clock,
        )
        return RunningWorker(worker, self.clock)

    def logged(self, event: str) -> list[LogLine]:
        """The log lines of that event, so far."""
        return [line for line in self.log if line["event"] == event]

    def reasons(self) -> list[str]:
        """Why the dead letters are dead, in order; `-` for those that SQS itself has moved."""
        return sorted(
            letter.attributes.get("failure_reason", {"StringValue": "-"})["StringValue"] for letter in self.dead_letters
        )

    def run_until_empty(self, within: float = SETTLED) -> None:
        """Let time pass until the queues of which workers receive are empty."""
        urls = [self.events_url, *([self.activities_url] if self.activities_url else [])]
        self.clock.run_until(lambda: not any(self.sqs.queue(url).messages for url in urls), within)


class RunningWorker:
    """A worker that runs in threads of the clock's."""

    def __init__(self, worker: Worker, clock: VirtualClock) -> None:
        self._worker = worker
        self._clock = clock
        self.succeeded: bool | None = None  # what its `run` has returned
        self._thread: Thread = clock.thread("worker", self._run)

    @property
    def ended_by(self) -> WorkerPause | None:
        return self._worker.ended_by

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def ask_to_stop(self) -> None:
        self._worker.stop()

    def stop(self) -> float:
        """Stop it, and return the seconds that this took."""
        began = self._clock.monotonic()
        self.ask_to_stop()
        self._clock.run_until(lambda: not self.running)
        return self._clock.monotonic() - began

    def _run(self) -> None:
        self.succeeded = self._worker.run()


@contextmanager
def memory_system(seed: int | None = None, **queues: Any) -> Iterator[MemorySystem]:
    """A system that ends with all its threads; no thread of a worker may have crashed by then."""
    structlog.reset_defaults()
    with capture_logs() as log, VirtualClock(seed) as clock:
        system = MemorySystem(clock, log, **queues)
        yield system
        assert not system.logged("crashed"), system.logged("crashed")
