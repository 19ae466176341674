"""Telling SQS what became of a message. There are three outcomes, and a fourth way back for what was not begun.

- *Done*: deleted.
- *Later*: made visible again after a while.
- *Dead*: sent to the dead-letter queue with the reason, then deleted.
- *Released*: visible again at once, because we stop or the database is away. On its last receive it is *renewed*
  instead, that is sent again as a new message and then deleted: an outage must not use its attempts up, and SQS would
  move it to the dead-letter queue at the next receive.

Each kind of call has its lanes (`worker.lane`). What SQS would not hear of until the lease was over is left to it: it
will give the message to somebody again, and writing it twice does no harm.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Literal

import structlog

from worker.concurrency import Concurrency
from worker.in_flight import Delivery, InFlight
from worker.instrumentation import NO_INSTRUMENTATION, Instrumentation
from worker.lane import LEASE_LOST, NOT_TAKEN, Lane
from worker.sqs import (
    BATCH_ENTRIES,
    MESSAGE_ATTRIBUTES,
    Failure,
    Outgoing,
    Queue,
    in_batches,
    text_attribute,
)

FailureReason = Literal[
    "invalid_event",
    "unknown_type",
    "unknown_author",
    "unknown_parent",
    "rejected_by_database",
    "attempts_exhausted",
]

WAKE_TIMEOUT = 30.0  # seconds in which waking an event that waits is tried; it wakes by itself anyway

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Deletion:
    """A message that is done with."""

    delivery: Delivery

    @property
    def lease_until(self) -> float:
        return self.delivery.lease_until


@dataclass(frozen=True, slots=True)
class VisibilityChange:
    """A message that is to be visible again in so many seconds. We do not hold it any more."""

    receipt_handle: str
    seconds: int
    lease_until: float


@dataclass(slots=True)
class Move:
    """A message that is to be sent somewhere, and deleted here when it is there."""

    delivery: Delivery
    message: Outgoing

    @property
    def lease_until(self) -> float:
        return self.delivery.lease_until


class Acknowledger:
    """Takes outcomes from any thread and passes them on; holds a delivery until SQS knows, where that matters.

    `wait_until_no_receive` waits until none of our own receives is under way, which would take what is released;
    `concurrency` says how many deletions are made at once: as many as receives, so that latency limits neither.
    """

    def __init__(
        self,
        events: Queue,
        dead_letters: Queue,
        in_flight: InFlight,
        max_attempts: int,
        wait_until_no_receive: Callable[[], object],
        concurrency: Concurrency,
        instrumentation: Instrumentation = NO_INSTRUMENTATION,
    ) -> None:
        self._events = events
        self._dead_letters = dead_letters
        self._in_flight = in_flight
        self._max_attempts = max_attempts
        self._wait_until_no_receive = wait_until_no_receive
        self._concurrency = concurrency
        self._instrumentation = told = instrumentation
        self._deletions = [
            Lane(f"delete-{number}", self._delete, self._settle_deletion, self._leave, instrumentation=told)
            for number in range(concurrency.most)
        ]
        self._visibility = Lane(
            "visibility", self._change_visibility, _settle_visibility, _leave_visibility, instrumentation=told
        )
        self._releases = Lane("release", self._release, _settle_visibility, _leave_visibility, instrumentation=told)
        self._dead = Lane("dead", self._send_dead, self._settle_dead, self._leave, _split, told)
        self._renewals = Lane("renew", self._send_again, self._settle_move, self._leave, _split, told)
        self._turns = count()

    def is_last_attempt(self, delivery: Delivery) -> bool:
        """Whether SQS, or we, would not give the message another try."""
        return delivery.message.receive_count >= self._max_attempts

    def done(self, deliveries: Sequence[Delivery]) -> None:
        """They are committed, or were already there."""
        self._in_flight.written(*deliveries)
        for start in range(0, len(deliveries), BATCH_ENTRIES):
            lane = self._next_deletions()
            for delivery in deliveries[start : start + BATCH_ENTRIES]:
                lane.put(Deletion(delivery))

    def later(self, delivery: Delivery, seconds: int) -> None:
        """It is to be received again in so many seconds."""
        # Forgotten first: when it comes back, it must not be taken for one that is still in hand.
        self._in_flight.forget(delivery)
        self._visibility.put(VisibilityChange(delivery.message.receipt_handle, seconds, delivery.lease_until))

    def wake(self, receipt_handles: Iterable[str]) -> None:
        """Those that were put off may be received now."""
        until = time.monotonic() + WAKE_TIMEOUT
        for receipt_handle in receipt_handles:
            self._visibility.put(VisibilityChange(receipt_handle, 0, until))

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """They are not to blame, and somebody may receive them now."""
        self._instrumentation.released(len(deliveries))
        for delivery in deliveries:
            if self.is_last_attempt(delivery):
                self._in_flight.written(delivery)
                message = Outgoing(delivery.message.body, delivery.message.attributes)
                self._renewals.put(Move(delivery, message))
            else:
                self._in_flight.forget(delivery)
                self._releases.put(VisibilityChange(delivery.message.receipt_handle, 0, delivery.lease_until))

    def dead(self, delivery: Delivery, reason: FailureReason, detail: str) -> None:
        """It can never work, or not within its attempts. `detail` is one line without personal data."""
        self._instrumentation.dead_lettered(delivery, reason)
        log.warning("dead_lettered", reason=reason, detail=detail, **delivery.describe())
        self._in_flight.written(delivery)
        self._dead.put(Move(delivery, _dead_letter(delivery, reason, detail)))

    @property
    def lanes(self) -> list[Lane[Deletion] | Lane[VisibilityChange] | Lane[Move]]:
        """Each has a `run` for a thread of its own."""
        return [*self._movers, *self._deletions]

    @property
    def _movers(self) -> list[Lane[VisibilityChange] | Lane[Move]]:
        return [self._visibility, self._releases, self._dead, self._renewals]

    def close(self, deadline: float) -> bool:
        """Finish what there is, until the deadline (of `time.monotonic`) at most; whether all was finished."""
        # What is moved is deleted thereafter.
        ended = self._close(self._movers, deadline) & self._close(self._deletions, deadline)
        for lane in self.lanes:
            lane.abandon()
        return ended

    @staticmethod
    def _close(lanes: Sequence[Lane[Deletion] | Lane[VisibilityChange] | Lane[Move]], deadline: float) -> bool:
        for lane in lanes:
            lane.close()
        return all(lane.wait_until_ended(deadline) for lane in lanes)

    def _next_deletions(self) -> Lane[Deletion]:
        return self._deletions[next(self._turns) % self._concurrency.limit]

    def _leave(self, entry: Deletion | Move) -> None:
        log.warning("left_to_sqs", **entry.delivery.describe())
        self._in_flight.forget(entry.delivery)

    def _delete(self, entries: Sequence[Deletion]) -> list[Failure]:
        return self._events.delete([entry.delivery.message.receipt_handle for entry in entries])

    def _settle_deletion(self, entry: Deletion, code: str | None) -> bool:
        if code is None:
            self._in_flight.forget(entry.delivery)
            return True
        if code in LEASE_LOST | NOT_TAKEN:
            self._leave(entry)
            return True
        return False

    def _change_visibility(self, entries: Sequence[VisibilityChange]) -> list[Failure]:
        return self._events.change_visibility([(entry.receipt_handle, entry.seconds) for entry in entries])

    def _release(self, entries: Sequence[VisibilityChange]) -> list[Failure]:
        self._wait_until_no_receive()
        return self._change_visibility(entries)

    def _send_dead(self, entries: Sequence[Move]) -> list[Failure]:
        return self._dead_letters.send([entry.message for entry in entries])

    def _settle_dead(self, entry: Move, code: str | None) -> bool:
        if code in NOT_TAKEN and entry.message.attributes:
            # Too long with its attributes. The body alone was short enough to come; the log has the reason.
            entry.message = Outgoing(entry.message.body)
            return False
        return self._settle_move(entry, code)

    def _send_again(self, entries: Sequence[Move]) -> list[Failure]:
        return self._events.send([entry.message for entry in entries])

    def _settle_move(self, entry: Move, code: str | None) -> bool:
        if code is None:
            self._next_deletions().put(Deletion(entry.delivery))
            return True
        if code in NOT_TAKEN:
            self._leave(entry)  # SQS itself will move it
            return True
        return False


def _settle_visibility(_: VisibilityChange, code: str | None) -> bool:
    return code is None or code in LEASE_LOST | NOT_TAKEN


def _leave_visibility(_: VisibilityChange) -> None:
    """Nothing is to be done: it becomes visible by itself."""


def _split(entries: Sequence[Move]) -> Iterable[Sequence[Move]]:
    for batch in in_batches([entry.message for entry in entries]):
        yield [entries[index] for index in batch]


def _dead_letter(delivery: Delivery, reason: FailureReason, detail: str) -> Outgoing:
    """The message with the reason; of its own attributes as many as there is room for."""
    failure = {
        "failure_reason": reason,
        "failure_detail": detail,
        "failed_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "receive_count": str(delivery.message.receive_count),
        "source_message_id": delivery.message.message_id,
    }
    own = [(name, value) for name, value in delivery.message.attributes.items() if name not in failure]
    own = own[: MESSAGE_ATTRIBUTES - len(failure)]
    return Outgoing(delivery.message.body, dict(own) | {name: text_attribute(text) for name, text in failure.items()})
