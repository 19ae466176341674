"""Acknowledger: tells SQS what became of a message, by three outcomes and a way back for what was not begun.

- *Done*: deleted.
- *Later*: made visible again after a while. Where too many wait like that already it is sent again instead, as a new
  message with a delay and the attempts it has had, and then deleted: SQS counts what is invisible as in flight, which a
  queue has only so much of, and what is delayed it does not (SQS Developer Guide, "Amazon SQS message timers").
- *Dead*: sent to the dead-letter queue with the reason, then deleted.
- *Released*: visible again at once, because we stop or the database is away. On its last receive it is *renewed*
  instead, that is sent again as a new message and then deleted: an outage must not use its attempts up, and SQS would
  move it to the dead-letter queue at the next receive.

What is done is deleted by the thread that has it in hand, if there is enough of it to fill a call. All else, and the
deletions that failed, takes the slow way, by a lane for each kind of call (`worker.pipeline.batch_requests`). What SQS
would not hear of until the lease was over is left to it: it will give the message to somebody again, and writing it
twice does no harm.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from signup_sync.sqs import BATCH_ENTRIES, MAX_DELAY, Failure, Outgoing, in_batches
from worker import failure
from worker.aws.sqs import CALL_LIMIT, LEASE_LOST, MESSAGE_ATTRIBUTES, NOT_TAKEN, Queue, with_attempts
from worker.clock import SYSTEM_CLOCK, Clock
from worker.delivery import Delivery
from worker.failure import FailureReason
from worker.pipeline.batch_requests import BatchRequests
from worker.pipeline.in_flight import InFlight
from worker.pipeline.invisible_messages import InvisibleMessages
from worker.pipeline.retry_delay import retry_delay
from worker.source_queue import SourceQueue
from worker.telemetry.instrumentation import NO_INSTRUMENTATION, Instrumentation

WAKE_TIMEOUT = 30.0  # seconds in which waking an event that waits is tried; it wakes by itself anyway

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Deletion:
    """A message that is done with."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class VisibilityChange:
    """A message that is to be visible again in so many seconds. We do not hold it any more.

    After `until` (of the clock) it is of no use to try.
    """

    receipt_handle: str
    seconds: int
    until: float


@dataclass(slots=True)
class Move:
    """A message that is to be sent somewhere, and deleted here when it is there."""

    delivery: Delivery
    message: Outgoing


class Acknowledger:
    """Takes outcomes from any thread and passes them on; holds a delivery until SQS knows, where that matters.

    All deliveries are of one `queue`, and go nowhere else but to the dead letters. `deletions` is the same queue, by a
    client that makes each call once. So many as `max_invisible` are put off in flight at once.
    """

    def __init__(
        self,
        queue: Queue,
        deletions: Queue,
        dead_letters: Queue,
        in_flight: InFlight,
        max_attempts: int,
        max_invisible: int,
        instrumentation: Instrumentation = NO_INSTRUMENTATION,
        clock: Clock = SYSTEM_CLOCK,
        *,
        source: SourceQueue = "events",
    ) -> None:
        self._queue = queue
        self._deletions = deletions
        self._dead_letters = dead_letters
        self._in_flight = in_flight
        self._max_attempts = max_attempts
        self._invisible = InvisibleMessages(max_invisible, clock)
        # Waits until none of our own receives is under way, which would take what is released. It is theirs to say,
        # and they come after us: whoever puts the worker together sets it.
        self.wait_until_no_receive: Callable[[], object] = bool
        self._instrumentation = instrumentation
        self._clock = clock
        self._source = source
        held = self._lease_until
        prefix = "" if source == "events" else f"{source}-"
        self._deletes = BatchRequests(
            f"{prefix}delete",
            self._delete,
            self._settle_deletion,
            self._leave,
            held,
            instrumentation=instrumentation,
            clock=clock,
        )
        self._visibility = BatchRequests(
            f"{prefix}visibility",
            self._change_visibility,
            _settle_visibility,
            _leave_visibility,
            _until,
            instrumentation=instrumentation,
            clock=clock,
        )
        self._releases = BatchRequests(
            f"{prefix}release",
            self._release,
            _settle_visibility,
            _leave_visibility,
            _until,
            instrumentation=instrumentation,
            clock=clock,
        )
        self._dead = BatchRequests(
            f"{prefix}dead", self._send_dead, self._settle_dead, self._leave, held, _split, instrumentation, clock
        )
        self._renewals = BatchRequests(
            f"{prefix}renew", self._send_again, self._settle_move, self._leave, held, _split, instrumentation, clock
        )

    def done(self, deliveries: Sequence[Delivery]) -> None:
        """They are committed, or were already there: delete them, before this returns where it can be.

        Those that do not fill a call wait a moment for others: on a queue where messages trickle, a call for each would
        double what is asked of SQS.
        """
        left: Iterable[int] = range(len(deliveries))
        if len(deliveries) >= BATCH_ENTRIES:
            self._instrumentation.busy(CALL_LIMIT)
            left = self._deletions.delete_together(self._in_flight.receipt_handles(deliveries))
            kept = set(left)
            self._in_flight.forget(d for index, d in enumerate(deliveries) if index not in kept)
        for index in left:
            self._deletes.put(Deletion(deliveries[index]))

    def put_off(self, delivery: Delivery, reason: FailureReason, detail: str) -> int:
        """This attempt has failed, for a reason that may pass: it is to be received again in so many seconds, which are
        returned; or it is dead for this reason, if this was its last attempt (0)."""
        if self._is_last_attempt(delivery):
            self.dead(delivery, reason, detail)
            return 0
        seconds = retry_delay(delivery.message.receive_count, self._max_attempts)
        self._instrumentation.retried(delivery, reason)
        log.info("retried_later", reason=reason, seconds=seconds, **delivery.describe())
        if self._invisible.add(seconds):
            self._put_back(self._visibility, delivery, seconds)
        else:
            delayed = Outgoing(delivery.message.body, with_attempts(delivery.message), min(seconds, MAX_DELAY))
            self._renewals.put(Move(delivery, delayed))
        return seconds

    def wake(self, receipt_handles: Iterable[str]) -> None:
        """Those that were put off may be received now."""
        until = self._clock.monotonic() + WAKE_TIMEOUT
        for receipt_handle in receipt_handles:
            self._visibility.put(VisibilityChange(receipt_handle, 0, until))

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """They are not to blame, and somebody may receive them now."""
        if deliveries:
            self._instrumentation.released(len(deliveries))
        for delivery in deliveries:
            if self._is_last_attempt(delivery):
                self._renewals.put(Move(delivery, Outgoing(delivery.message.body, delivery.message.attributes)))
            else:
                self._put_back(self._releases, delivery, 0)

    def dead(self, delivery: Delivery, reason: FailureReason, detail: str) -> None:
        """It can never work, or not within its attempts. `detail` is one line without personal data."""
        self._instrumentation.dead_lettered(delivery, reason)
        log.warning("dead_lettered", reason=reason, detail=detail, **delivery.describe())
        self._dead.put(Move(delivery, _dead_letter(delivery, reason, detail, self._source)))

    @property
    def lanes(self) -> list[BatchRequests[Deletion] | BatchRequests[VisibilityChange] | BatchRequests[Move]]:
        """Each has a `run` for a thread of its own."""
        return [*self._movers, self._deletes]

    @property
    def _movers(self) -> list[BatchRequests[VisibilityChange] | BatchRequests[Move]]:
        return [self._visibility, self._releases, self._dead, self._renewals]

    def close(self, deadline: float) -> bool:
        """Finish what there is, until the deadline (of the clock) at most; whether all was finished."""
        # What is moved is deleted thereafter.
        ended = self._close(self._movers, deadline) & self._close([self._deletes], deadline)
        for lane in self.lanes:
            lane.abandon()
        return ended

    @staticmethod
    def _close(
        lanes: Sequence[BatchRequests[Deletion] | BatchRequests[VisibilityChange] | BatchRequests[Move]],
        deadline: float,
    ) -> bool:
        for lane in lanes:
            lane.close()
        return all(lane.wait_until_ended(deadline) for lane in lanes)

    def _is_last_attempt(self, delivery: Delivery) -> bool:
        """Whether SQS, or we, would not give the message another try."""
        return delivery.message.receive_count >= self._max_attempts

    def _put_back(self, lane: BatchRequests[VisibilityChange], delivery: Delivery, seconds: int) -> None:
        until = self._in_flight.lease_until(delivery)
        # Forgotten first: when it comes back, it must not be taken for one that is still in hand.
        self._in_flight.forget([delivery])
        lane.put(VisibilityChange(delivery.message.receipt_handle, seconds, until))

    def _lease_until(self, entry: Deletion | Move) -> float:
        return self._in_flight.lease_until(entry.delivery)

    def _leave(self, entry: Deletion | Move) -> None:
        log.warning("left_to_sqs", **entry.delivery.describe())
        self._in_flight.forget([entry.delivery])

    def _delete(self, entries: Sequence[Deletion]) -> list[Failure]:
        return self._queue.delete(self._in_flight.receipt_handles([entry.delivery for entry in entries]))

    def _settle_deletion(self, entry: Deletion, code: str | None) -> bool:
        if code is None:
            self._in_flight.forget([entry.delivery])
            return True
        if code in LEASE_LOST | NOT_TAKEN:
            self._leave(entry)
            return True
        return False

    def _change_visibility(self, entries: Sequence[VisibilityChange]) -> list[Failure]:
        return self._queue.change_visibility([(entry.receipt_handle, entry.seconds) for entry in entries])

    def _release(self, entries: Sequence[VisibilityChange]) -> list[Failure]:
        self.wait_until_no_receive()
        return self._change_visibility(entries)

    def _send_dead(self, entries: Sequence[Move]) -> list[Failure]:
        return self._dead_letters.send([entry.message for entry in entries])

    def _settle_dead(self, entry: Move, code: str | None) -> bool:
        least = failure.source_attributes(self._source)
        if code in NOT_TAKEN and entry.message.attributes != least:
            # Too long with its attributes. The body alone was short enough to come; the log has the reason. Where it
            # came from cannot be left out: by that it goes back.
            entry.message = Outgoing(entry.message.body, least)
            return False
        return self._settle_move(entry, code)

    def _send_again(self, entries: Sequence[Move]) -> list[Failure]:
        return self._queue.send([entry.message for entry in entries])

    def _settle_move(self, entry: Move, code: str | None) -> bool:
        if code is None:
            self._deletes.put(Deletion(entry.delivery))
            return True
        if code in NOT_TAKEN:
            self._leave(entry)  # SQS itself will move it
            return True
        return False


def _settle_visibility(_: VisibilityChange, code: str | None) -> bool:
    return code is None or code in LEASE_LOST | NOT_TAKEN


def _until(entry: VisibilityChange) -> float:
    return entry.until


def _leave_visibility(_: VisibilityChange) -> None:
    """Nothing is to be done: it becomes visible by itself."""


def _split(entries: Sequence[Move]) -> Iterable[Sequence[Move]]:
    for batch in in_batches([entry.message for entry in entries]):
        yield [entries[index] for index in batch]


def _dead_letter(delivery: Delivery, reason: FailureReason, detail: str, source: SourceQueue) -> Outgoing:
    """The message with the reason; of its own attributes as many as there is room for, and none that only we write."""
    message = delivery.message
    attributes = failure.attributes(reason, detail, message.receive_count, message.message_id)
    attributes |= failure.source_attributes(source)
    own = [(name, value) for name, value in message.attributes.items() if name not in failure.FAILURE_ATTRIBUTES]
    return Outgoing(message.body, dict(own[: MESSAGE_ATTRIBUTES - len(attributes)]) | attributes)
