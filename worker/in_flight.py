"""The messages that this worker holds: received, and not yet settled.

A `Delivery` is *held* from its admission until it is *forgotten*; it is *unwritten* until its outcome is known. How
many are held, and how large they are together, is limited; receiving stops until there is room.
"""

import threading
import time
from collections.abc import Iterable

from worker.events import ActivityCreated, UserSignedUp
from worker.sqs import Received

MAX_BYTES = 32 * 1_048_576  # of all bodies held; one more receive of ten large ones may go above it


class Delivery:
    """One message, while we hold it.

    `received_at` and `lease_until` are in seconds of `time.monotonic`. A message that SQS gives us again while we
    still hold it stays one delivery, with the newer receipt handle: an older one may no longer delete it.
    """

    __slots__ = ("event", "lease_lost", "lease_until", "message", "received_at", "unwritten")

    def __init__(self, message: Received, lease_until: float) -> None:
        self.message = message
        self.received_at = time.monotonic()
        self.lease_until = lease_until
        self.lease_lost = False
        self.unwritten = True
        self.event: UserSignedUp | ActivityCreated | None = None

    def describe(self) -> dict[str, object]:
        """What every log line about a message has."""
        return {
            "event_id": None if self.event is None else str(self.event.id),
            "event_type": None if self.event is None else self.event.type,
            "message_id": self.message.message_id,
            "receive_count": self.message.receive_count,
        }


class InFlight:
    """All deliveries, by message id. Safe to use from any thread."""

    def __init__(self, max_messages: int, visibility_timeout: int) -> None:
        self._max_messages = max_messages
        self._visibility_timeout = visibility_timeout
        self._deliveries: dict[str, Delivery] = {}
        self._bytes = 0
        self._unwritten = 0
        self._changed = threading.Condition(threading.RLock())

    def admit(self, messages: Iterable[Received], received_at: float) -> list[Delivery]:
        """Hold what was just received, and return what we did not hold already.

        The lease counts from `received_at`, when the answer was asked for or later.
        """
        lease_until = received_at + self._visibility_timeout
        admitted = []
        with self._changed:
            for message in messages:
                held = self._deliveries.get(message.message_id)
                if held is not None:
                    held.message, held.lease_until, held.lease_lost = message, lease_until, False
                    continue
                delivery = Delivery(message, lease_until)
                self._deliveries[message.message_id] = delivery
                self._bytes += len(message.body)
                self._unwritten += 1
                admitted.append(delivery)
        return admitted

    def written(self, *deliveries: Delivery) -> None:
        """Their outcome is known; what remains is to tell SQS."""
        with self._changed:
            unwritten = [delivery for delivery in deliveries if delivery.unwritten]
            for delivery in unwritten:
                delivery.unwritten = False
            self._unwritten -= len(unwritten)
            if unwritten and not self._unwritten:
                self._changed.notify_all()

    def forget(self, *deliveries: Delivery) -> None:
        """We no longer hold them: SQS has been told, or will give them to somebody again."""
        with self._changed:
            was_full = not self._has_room()
            self.written(*deliveries)
            for delivery in deliveries:
                message_id = delivery.message.message_id
                # Not a later delivery of the same message, which we may hold by now.
                if self._deliveries.get(message_id) is delivery:
                    del self._deliveries[message_id]
                    self._bytes -= len(delivery.message.body)
            if was_full:
                self._changed.notify_all()

    @property
    def all_written(self) -> bool:
        """Whether the outcome of all that is held is known."""
        return self._unwritten == 0

    def wait_for_room(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(self._has_room, timeout)

    def wait_until_all_written(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._unwritten == 0, timeout)

    def with_lease_until(self, time_limit: float) -> list[Delivery]:
        """Those whose lease ends before that time, the ones already lost left out."""
        with self._changed:
            return [d for d in self._deliveries.values() if d.lease_until < time_limit and not d.lease_lost]

    def __len__(self) -> int:
        return len(self._deliveries)

    def _has_room(self) -> bool:
        return len(self._deliveries) < self._max_messages and self._bytes < MAX_BYTES
