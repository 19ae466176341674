"""Instrumentation: the one hook by which the worker's parts say what happens, for metrics, health and traces.

The parts call these methods; a backend (`worker.telemetry.liveness`, `worker.telemetry.measurements`,
`worker.telemetry.tracing`) overrides those that it has a use for. They are called from many threads, once a batch or a
call and only in failures once a message. They must not wait, raise, or keep what they are given.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from signup_sync.events import Event

if TYPE_CHECKING:
    from db.tables.worker_pause import WorkerPause
    from db.tables.written import Written
    from worker.aws.sqs import Received
    from worker.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction that is committed.

    `deliveries` are those that it settled, each with its event; what was in the tables before is a duplicate, and not
    new in `written`. `began` and `ended` are in seconds of `time.monotonic`.
    """

    deliveries: "Sequence[Delivery]"
    written: "Written"
    began: float
    ended: float = field(default_factory=time.monotonic)

    @property
    def events(self) -> list[Event]:
        return [delivery.event for delivery in self.deliveries if delivery.event is not None]

    @property
    def new_events(self) -> list[Event]:
        """Without the duplicates, whose time says nothing about how long anything took."""
        events = self.events
        if len(events) == sum(self.written.new().values()):
            return events
        return [event for event in events if self.written.is_new(event)]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Messages that were put off for one reason (of `worker.failure.FailureReason`), and are not visible yet.

    The first of them was put off `waited` seconds ago, for the first time; the last is visible again in `left` seconds.
    """

    reason: str
    messages: int
    waited: float
    left: float


class Instrumentation:
    """What can happen. As it is, it does nothing."""

    def busy(self, limit: float) -> None:
        """This thread begins something that ends within `limit` seconds, or is stuck."""

    def idle(self) -> None:
        """This thread waits for something to do, which may take for ever."""

    def received(self, messages: "Sequence[Received]") -> None:
        """One receive has brought these."""

    def committed(self, batch: Committed) -> None:
        """A transaction is committed."""

    def retried(self, delivery: "Delivery", reason: str) -> None:
        """It goes back to the queue for a while, for a reason of `worker.failure.FailureReason`."""

    def released(self, messages: int) -> None:
        """So many go back to the queue at once, through no fault of theirs."""

    def dead_lettered(self, delivery: "Delivery", reason: str) -> None:
        """It goes to the dead-letter queue, for a reason of `worker.failure.FailureReason`."""

    def sqs_called(self, operation: str, outcome: str) -> None:
        """A call by its name in boto3; the outcome is `ok`, `partial` (some entries failed) or a code of `SqsError`."""

    def paused(self, reason: str) -> None:
        """The database is away; one line without personal data says why."""

    def resumed(self) -> None:
        """The database is back, or there for the first time."""

    def paused_by_operator(self, pause: "WorkerPause") -> None:
        """All workers are to receive nothing."""

    def resumed_by_operator(self) -> None:
        """They may go on."""


class Several(Instrumentation):
    """Tells each of several backends."""

    def __init__(self, backends: Sequence[Instrumentation]) -> None:
        self._backends = tuple(backends)

    def busy(self, limit: float) -> None:
        for backend in self._backends:
            backend.busy(limit)

    def idle(self) -> None:
        for backend in self._backends:
            backend.idle()

    def received(self, messages: "Sequence[Received]") -> None:
        for backend in self._backends:
            backend.received(messages)

    def committed(self, batch: Committed) -> None:
        for backend in self._backends:
            backend.committed(batch)

    def retried(self, delivery: "Delivery", reason: str) -> None:
        for backend in self._backends:
            backend.retried(delivery, reason)

    def released(self, messages: int) -> None:
        for backend in self._backends:
            backend.released(messages)

    def dead_lettered(self, delivery: "Delivery", reason: str) -> None:
        for backend in self._backends:
            backend.dead_lettered(delivery, reason)

    def sqs_called(self, operation: str, outcome: str) -> None:
        for backend in self._backends:
            backend.sqs_called(operation, outcome)

    def paused(self, reason: str) -> None:
        for backend in self._backends:
            backend.paused(reason)

    def resumed(self) -> None:
        for backend in self._backends:
            backend.resumed()

    def paused_by_operator(self, pause: "WorkerPause") -> None:
        for backend in self._backends:
            backend.paused_by_operator(pause)

    def resumed_by_operator(self) -> None:
        for backend in self._backends:
            backend.resumed_by_operator()


NO_INSTRUMENTATION = Instrumentation()
