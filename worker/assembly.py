"""The worker: its parts put together, started, and stopped.

The way of a message is `worker.pipeline.consumers`, one thread all along: receive, parse, write (`writer`), delete
(`acknowledger`). Beside it stand `in_flight` (what is held), `visibility_heartbeat` (keeps it ours), `turns` and
`adaptive_limit` (which threads receive), `database_gate` (shut while the database is away) and `pause_switch` (on while
an operator has paused all workers); the acknowledger's lanes carry what is not on the happy path. Of a second source
queue there is a second set of all this, but of the gate and the switch (`worker.pipeline.intake`). A thread that dies
takes the process with it: what it held becomes visible again, and whoever runs the worker starts it anew.

Stopping: no new receive; what is begun is committed, what is not is released; then SQS is told. A receive that is
under way ends by itself first (see `Consumers.stop`), which on a quiet queue takes as long as it waits for messages.
All of it has `STOP_TIMEOUT`; then the rest is left to SQS.
"""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from db.pool import Database
from db.tables.worker_pause import WorkerPause
from signup_sync.sqs import BATCH_ENTRIES
from worker.aws.plain_session import use_plain_session
from worker.aws.sqs import Queue, QueueAttributes, connect
from worker.clock import SYSTEM_CLOCK, Clock, Thread
from worker.clock import Queue as ClockQueue
from worker.pipeline.acknowledger import Acknowledger
from worker.pipeline.adaptive_limit import AdaptiveLimit
from worker.pipeline.consumers import Consumers
from worker.pipeline.database_gate import DatabaseGate
from worker.pipeline.in_flight import MAX_BYTES, InFlight
from worker.pipeline.intake import Intake
from worker.pipeline.parked_messages import ParkedMessages
from worker.pipeline.pause_switch import PauseSwitch
from worker.pipeline.store import Store
from worker.pipeline.visibility_heartbeat import VisibilityHeartbeat
from worker.pipeline.writer import Writer
from worker.settings import InvalidSettings, WorkerSettings
from worker.source_queue import SETTINGS, SourceQueue, in_logs
from worker.telemetry.backends import Sources, Telemetry

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

STOP_TIMEOUT = 24.0  # seconds; the design promises 25, ECS kills after 30 by default
ACKNOWLEDGE_TIME = 2.0  # seconds of it that are kept for telling SQS
SLOW_CALLS = 8  # at once, of the acknowledger's lanes and the heartbeat
INVISIBLE = 5  # times MAX_IN_FLIGHT: messages put off in flight; 20 workers would use up what SQS allows
MAX_INVISIBLE = 10_000  # of them, however large MAX_IN_FLIGHT is
ONCE_WAIT = 1  # second that --once waits for messages; a long poll, however short, asks all of SQS' servers

log = structlog.get_logger()


class WorkerDatabase(Store, Protocol):
    """As `db.pool.Database`."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def pool_statistics(self) -> dict[str, int]: ...


@dataclass(frozen=True)
class Remote:
    """What a worker works with, beyond its own process.

    `fast_events` makes each call once, and many at the same time; the other clients try again by themselves.
    """

    events: "SQSClient"
    fast_events: "SQSClient"
    dead_letters: "SQSClient"
    database: WorkerDatabase


class Worker:
    """One worker, which works with what the settings name, unless it is given something else.

    With `until_empty` it ends when its queues are empty, and at once in a pause, which is then `ended_by`.

    Raises `InvalidSettings` or `SqsError` if the queues are not what it needs.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        until_empty: bool = False,
        remote: Remote | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._clock = clock
        self._telemetry = Telemetry(settings, clock)
        instrumentation = self._telemetry.instrumentation
        on_call = instrumentation.sqs_called
        wait_seconds = ONCE_WAIT if until_empty else settings.receive_wait_seconds
        remote = remote or connected(settings, wait_seconds)
        queues = {source: Queue(url, remote.events, on_call) for source, url in settings.source_urls.items()}
        dead_letters = Queue(settings.dlq_url, remote.dead_letters, on_call)
        attributes = {source: queue.describe() for source, queue in queues.items()}
        _check(settings, attributes, dead_letters.describe())
        self._settings = settings
        self._wait_seconds = wait_seconds
        self._stop: ClockQueue[None] = clock.queue()
        self._failed = False
        self.ended_by: WorkerPause | None = None

        self._database = remote.database
        statement_timeout = settings.statement_timeout_ms / 1000
        self._gate = DatabaseGate(self._database, instrumentation, clock, statement_timeout=statement_timeout)
        self._pause_switch = PauseSwitch(
            self._database,
            self._gate,
            on_pause=self._end if until_empty else None,
            instrumentation=instrumentation,
            clock=clock,
        )
        self._parked = ParkedMessages(clock)
        self._connections = clock.semaphore(settings.writers)
        self._until_empty = until_empty
        self._handled_when_empty: dict[SourceQueue, int] = {}
        self._intakes = [
            self._intake(
                source,
                queue,
                Queue(queue.url, remote.fast_events, on_call),
                dead_letters,
                attributes[source],
                len(queues),
            )
            for source, queue in queues.items()
        ]
        self._telemetry.attach(
            Sources(
                gate_is_open=lambda: self._gate.is_open,
                in_flight=lambda: sum(len(intake.in_flight) for intake in self._intakes),
                waiting=self._parked.waiting,
                pool_statistics=self._database.pool_statistics,
                queues=dict([*queues.items(), ("dead_letters", dead_letters)]),
            )
        )

    def _intake(
        self,
        source: SourceQueue,
        queue: Queue,
        fast_queue: Queue,
        dead_letters: Queue,
        attributes: QueueAttributes,
        shares: int,
    ) -> Intake:
        """One of so many `shares` of what the settings allow."""
        settings, clock = self._settings, self._clock
        instrumentation = self._telemetry.of_queue(queue.url)
        visibility_timeout = settings.visibility_timeout_seconds or attributes.visibility_timeout
        max_attempts = _max_attempts(settings, attributes)
        threads = max(1, settings.threads // shares)
        in_flight = InFlight(settings.max_in_flight // shares, visibility_timeout, clock, max_bytes=MAX_BYTES // shares)
        acknowledger = Acknowledger(
            queue,
            fast_queue,
            dead_letters,
            in_flight,
            max_attempts,
            min(INVISIBLE * settings.max_in_flight, MAX_INVISIBLE),
            instrumentation,
            clock,
            source=source,
        )
        writer = Writer(
            self._database,
            self._gate,
            acknowledger,
            self._parked,
            statement_timeout=settings.statement_timeout_ms / 1000,
            source=source,
            instrumentation=instrumentation,
            clock=clock,
        )
        consumers = Consumers(
            fast_queue,
            self._gate,
            self._pause_switch,
            in_flight,
            writer,
            acknowledger,
            wait_seconds=self._wait_seconds,
            visibility_timeout=visibility_timeout,
            batch_size=settings.batch_size,
            calls=_calls_together(settings),
            writers=settings.writers,
            connections=self._connections,
            adaptive_limit=AdaptiveLimit(threads),
            on_empty=partial(self._empty, source) if self._until_empty else None,
            instrumentation=instrumentation,
            clock=clock,
            source=source,
        )
        acknowledger.wait_until_no_receive = consumers.wait_until_no_receive
        heartbeat = VisibilityHeartbeat(queue, in_flight, visibility_timeout, instrumentation, clock, source=source)
        return Intake(source, max_attempts, visibility_timeout, threads, in_flight, acknowledger, consumers, heartbeat)

    def stop(self) -> None:
        """Ask `run` to return. May be called in any thread, and more than once."""
        self._stop.put(None)

    def run(self) -> bool:
        """Work until stopped, or until the queue is empty; False says that a part has failed."""
        self._database.open()
        for name, run in self._telemetry.threads:
            self._thread(name, run)
        consumers = self._start()
        for intake in self._intakes:
            if intake.source != "events":
                log.info("source_queue", **in_logs(intake.source), **_limits(intake))
        log.info("started", **_limits(self._intakes[0]), admin_address=self._telemetry.admin_address)
        self._stop.get()
        log.info(
            "stopping",
            waits_for=f"what is begun, and receives ({self._wait_seconds} s at most)",
            second_signal="ends it at once",
        )
        clean = self._wind_down(consumers, self._clock.monotonic() + STOP_TIMEOUT)
        log.info("stopped", clean=clean, **self._telemetry.counts)
        return not self._failed

    def _start(self) -> list[Thread]:
        for intake in self._intakes:
            for lane in intake.acknowledger.lanes:
                self._thread(lane.name, lane.run)
            self._thread(_thread_name(intake, "leases"), intake.heartbeat.run)
        self._thread("gate", self._gate.run)
        self._thread("pause", self._pause_switch.run)
        return [
            self._thread(_thread_name(intake, f"consumer-{n}"), intake.consumers.run)
            for intake in self._intakes
            for n in range(intake.threads)
        ]

    def _wind_down(self, consumers: list[Thread], deadline: float) -> bool:
        """Stop everything in the order in which messages flow; whether all was finished by the deadline."""
        if self._failed:
            return False
        for intake in self._intakes:
            intake.consumers.stop()
        self._gate.stop()
        self._pause_switch.stop()
        for thread in consumers:
            thread.join(max(0.0, deadline - ACKNOWLEDGE_TIME - self._clock.monotonic()))
        closed = [intake.acknowledger.close(deadline) for intake in self._intakes]
        for intake in self._intakes:
            intake.heartbeat.stop()
        self._database.close()
        self._telemetry.stop()
        return all(closed) and not any(thread.is_alive() for thread in consumers)

    def _empty(self, source: SourceQueue) -> bool:
        """Whether to end, now that this queue is empty: all are, and nothing came of any since they were.

        What one brings may wake what waits in another.
        """
        if any(intake.in_flight for intake in self._intakes if intake.source != source):
            return False
        handled = sum(self._telemetry.counts.values())
        self._handled_when_empty[source] = handled
        if any(self._handled_when_empty.get(intake.source) != handled for intake in self._intakes):
            return False
        self.stop()
        return True

    def _end(self, pause: WorkerPause) -> None:
        self.ended_by = pause
        self.stop()

    def _thread(self, name: str, run: Callable[[], None]) -> Thread:
        # When the time is up, the process ends whatever they are doing.
        return self._clock.thread(name, partial(self._guarded, name, run))

    def _guarded(self, name: str, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 (whatever it is, nobody else would hear of it)
            # Where, and not what it said: that could be anybody's data.
            log.critical(
                "crashed", thread=name, error=type(error).__name__, stack=traceback.format_tb(error.__traceback__)
            )
            self._failed = True
            self._stop.put(None)


def connected(settings: WorkerSettings, wait_seconds: int) -> Remote:
    """What the settings name; nothing is asked of it yet. Raises `SqsError` when AWS's settings are not enough."""
    use_plain_session()
    lean = settings.sqs_client == "lean"
    connections = settings.threads * _calls_together(settings)
    return Remote(
        events=connect(connections=SLOW_CALLS, lean=lean),
        fast_events=connect(wait_seconds=wait_seconds, connections=connections, attempts=1, lean=lean),
        dead_letters=connect(lean=lean),
        database=Database(
            settings.conninfo,
            schema=settings.database_schema,
            max_connections=settings.writers + 1,  # the pause is looked for, however slow the writes are
            statement_timeout_ms=settings.statement_timeout_ms,
            lock_timeout_ms=settings.lock_timeout_ms,
        ),
    )


def _calls_together(settings: WorkerSettings) -> int:
    """Receives at the same time for one batch, which is what the lean client can do."""
    return max(1, settings.batch_size // BATCH_ENTRIES) if settings.sqs_client == "lean" else 1


def check_queues(settings: WorkerSettings) -> None:
    """Raise `InvalidSettings` or `SqsError` if the queues are not what a worker needs."""
    client = connect()
    attributes = {source: Queue(url, client).describe() for source, url in settings.source_urls.items()}
    _check(settings, attributes, Queue(settings.dlq_url, client).describe())


def _check(
    settings: WorkerSettings, sources: Mapping[SourceQueue, QueueAttributes], dead_letters: QueueAttributes
) -> None:
    named = {dead_letters.arn: "DLQ_URL"}
    for source, attributes in sources.items():
        name = SETTINGS[source]
        if attributes.max_receive_count is None and settings.max_attempts is None:
            raise InvalidSettings(
                f"the queue of {name} has no redrive policy: give it one (maxReceiveCount and the dead-letter queue), "
                "or set MAX_ATTEMPTS"
            )
        if attributes.arn in named:
            raise InvalidSettings(f"{name} and {named[attributes.arn]} are the same queue")
        named[attributes.arn] = name
        if attributes.dead_letter_arn not in (None, dead_letters.arn):
            target = {"redrive_target": attributes.dead_letter_arn, "dlq": dead_letters.arn}
            log.warning("redrive_elsewhere", **in_logs(source), **target)


def _max_attempts(settings: WorkerSettings, queue: QueueAttributes) -> int:
    """The smaller one: beyond its own count SQS would move a message away without a reason."""
    return min(count for count in (settings.max_attempts, queue.max_receive_count) if count is not None)


def _limits(intake: Intake) -> dict[str, int]:
    return {"max_attempts": intake.max_attempts, "visibility_timeout_seconds": intake.visibility_timeout}


def _thread_name(intake: Intake, name: str) -> str:
    return name if intake.source == "events" else f"{intake.source}-{name}"
