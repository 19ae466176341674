"""System monitor: the queues, the workers and the database, asked every few seconds while somebody looks."""

import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from psycopg_pool import PoolTimeout

from db.pool import Database
from db.tables.worker_pause import WorkerPause, read_worker_pause
from signup_sync.postgres.errors import describe
from signup_sync.sqs import SqsError
from worker.aws.sqs import Queue, QueueAttributes
from worker.console.watched_loop import WatchedLoop
from worker.console.worker_status import WorkerSeen, ask_workers
from worker.dead_letters.source_queues import SourceQueues
from worker.source_queue import SourceQueue

INTERVAL = 5.0  # seconds
FIRST_WAIT = 2.5  # seconds that a page waits for what nobody has asked for in a while
PERIOD = 60  # seconds between CloudWatch's values (SQS Developer Guide, "Available CloudWatch metrics for Amazon SQS")


@dataclass(frozen=True, slots=True)
class PauseSeen:
    """What the database says of the pause of all workers; it is unknown where there is a `problem`."""

    at: datetime
    pause: WorkerPause | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the parts said; a part that did not answer has a problem instead. `sources` are the queues that workers
    receive from, by what comes from them."""

    at: datetime
    sources: Mapping[SourceQueue, QueueAttributes]
    dead_letters: QueueAttributes | None
    queue_problem: str | None
    workers: tuple[WorkerSeen, ...]
    database_problem: str | None
    oldest_seconds: float | None
    """Age of the oldest event in the queue, of CloudWatch."""
    oldest_problem: str | None
    """Why that is not known."""
    problem: str | None = None
    """Why nothing could be asked."""

    @property
    def visible(self) -> int | None:
        """How many messages nobody has; None if that is not known."""
        return sum(queue.visible for queue in self.sources.values()) if self.sources else None

    @property
    def in_flight(self) -> int | None:
        """How many somebody has, or wait for another try; None if that is not known."""
        return sum(queue.in_flight for queue in self.sources.values()) if self.sources else None


class OldestMessage:
    """CloudWatch's age of the oldest message of a queue: SQS itself does not tell it."""

    def __init__(self, queue_url: str) -> None:
        """Raises `BotoCoreError`."""
        self._name = queue_url.rpartition("/")[2]
        import boto3  # noqa: PLC0415 (see `signup_sync.sqs.connect`)
        from botocore.config import Config  # noqa: PLC0415 (see `signup_sync.sqs.connect`)

        config = Config(connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 1})
        self._client = boto3.client("cloudwatch", config=config)
        self._answer: tuple[float | None, str | None] = (None, "CloudWatch has not been asked yet")
        self._asked_at = float("-inf")

    def seconds(self) -> tuple[float | None, str | None]:
        """The age, or why it is not known; asked once a minute."""
        if time.monotonic() - self._asked_at >= PERIOD:
            self._asked_at = time.monotonic()
            self._answer = self._ask()
        return self._answer

    def close(self) -> None:
        self._client.close()

    def _ask(self) -> tuple[float | None, str | None]:
        now = datetime.now(UTC)
        try:
            answer = self._client.get_metric_statistics(
                Namespace="AWS/SQS",
                MetricName="ApproximateAgeOfOldestMessage",
                Dimensions=[{"Name": "QueueName", "Value": self._name}],
                StartTime=now - timedelta(minutes=10),
                EndTime=now,
                Period=PERIOD,
                Statistics=["Maximum"],
            )
        except ClientError as error:
            return None, f"CloudWatch: {error.response.get('Error', {}).get('Code', 'Unknown')}"
        except BotoCoreError as error:
            return None, f"CloudWatch: {type(error).__name__}"
        points = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
        return (points[-1]["Maximum"], None) if points else (None, "CloudWatch has no value of the last ten minutes")


class SystemMonitor:
    """Asks in a thread of its own, from `start` to `stop`; other calls go to the `executor`."""

    def __init__(
        self,
        queues: SourceQueues,
        dead_letters: Queue,
        worker_urls: tuple[str, ...],
        database: Database,
        executor: Executor,
        oldest: OldestMessage | None,
    ) -> None:
        self._queues = queues
        self._dead_letters = dead_letters
        self._worker_urls = worker_urls
        self._database = database
        self._executor = executor
        self._oldest = oldest
        self._loop = WatchedLoop("monitor", self._look, self._due_at, self._look_failed)
        self._changed = self._loop.changed  # guards what follows
        self._seen: Seen | None = None
        self._seen_at = float("-inf")
        self._pause_seen: PauseSeen | None = None
        self._pause_seen_at = float("-inf")
        self._valid_from = float("-inf")  # what was asked before that may be not so any more

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()
        if self._oldest:
            self._oldest.close()

    def seen(self) -> Seen | None:
        """The newest; what is old is waited for a moment. None if there is none yet. Keeps the asking going."""
        with self._changed:
            self._loop.watch()
            self._changed.wait_for(lambda: self._is_fresh(self._seen_at) or self._loop.stopped, FIRST_WAIT)
            return self._seen

    def pause(self) -> PauseSeen | None:
        """The same of the pause of all workers; it does not wait for queues and workers."""
        with self._changed:
            self._loop.watch()
            self._changed.wait_for(lambda: self._is_fresh(self._pause_seen_at) or self._loop.stopped, FIRST_WAIT)
            return self._pause_seen

    def ask_again(self) -> None:
        """What is known of the pause is not so any more."""
        with self._changed:
            self._valid_from = time.monotonic()
            self._changed.notify_all()

    def _due_at(self) -> float:
        return self._valid_from if self._seen_at < self._valid_from else self._seen_at + INTERVAL

    def _is_fresh(self, asked_at: float) -> bool:
        return asked_at >= self._valid_from and time.monotonic() - asked_at < 2 * INTERVAL + FIRST_WAIT

    def _look(self) -> None:
        asked_at = time.monotonic()
        seen = self._ask()
        with self._changed:
            self._seen, self._seen_at = seen, asked_at
            self._changed.notify_all()

    def _look_failed(self, problem: str) -> None:
        now = time.monotonic()
        self._seen = Seen(datetime.now(UTC), {}, None, None, (), None, None, None, problem)
        self._seen_at = now
        if not self._is_fresh(self._pause_seen_at):
            self._pause_seen, self._pause_seen_at = PauseSeen(datetime.now(UTC), None, problem), now

    def _ask(self) -> Seen:
        database_problem = self._executor.submit(self._ask_database)
        sources, dead_letters, queue_problem = self._ask_queues()
        oldest, oldest_problem = self._oldest.seconds() if self._oldest else (None, None)
        return Seen(
            at=datetime.now(UTC),
            sources=sources,
            dead_letters=dead_letters,
            queue_problem=queue_problem,
            workers=tuple(ask_workers(self._worker_urls, self._executor)),
            database_problem=database_problem.result(),
            oldest_seconds=oldest,
            oldest_problem=oldest_problem,
        )

    def _ask_queues(self) -> tuple[dict[SourceQueue, QueueAttributes], QueueAttributes | None, str | None]:
        try:
            sources = {source: queue.describe() for source, queue in self._queues}
            return sources, self._dead_letters.describe(), None
        except SqsError as error:
            return {}, None, str(error)

    def _ask_database(self) -> str | None:
        """Keep what it says of the pause; returns why it does not answer."""
        asked_at = time.monotonic()
        pause, problem, pause_problem = None, None, None
        try:
            pause = self._read_pause()
        except psycopg.ProgrammingError as error:  # it answers, but has no such table, or not for us
            pause_problem = describe(error)
        except psycopg.Error as error:
            problem = pause_problem = describe(error)
        with self._changed:
            self._pause_seen = PauseSeen(datetime.now(UTC), pause, pause_problem)
            self._pause_seen_at = asked_at
            self._changed.notify_all()
        return problem

    def _read_pause(self) -> WorkerPause | None:
        try:
            with self._database.transaction() as connection:
                return read_worker_pause(connection)
        except PoolTimeout:
            # It can be reached; after an outage the pool would find that out in minutes.
            self._database.reset()
            with self._database.transaction() as connection:
                return read_worker_pause(connection)
