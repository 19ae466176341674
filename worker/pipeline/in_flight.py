"""In flight: the registry of the messages that this worker holds: received, and not yet settled.

It serves three things: a message that comes twice is carried once, what is held is bounded, and the heartbeat
(`worker.pipeline.visibility_heartbeat`) finds the leases that are about to end. One lock, `InFlight._changed`, guards
all of it.

A `Delivery` belongs to the thread that carries it, and nobody else writes to it. What others learn of the message
meanwhile (a lease extended or lost, a newer receipt handle) they publish in the registry's `_Lease`, and the thread
reads it by `still_ours` before it writes and by `receipt_handles` before it deletes.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from signup_sync.sqs import BATCH_ENTRIES
from worker.aws.sqs import Received
from worker.clock import SYSTEM_CLOCK, Clock
from worker.delivery import Delivery

MAX_BYTES = 32 * 1_048_576  # of all bodies held; a receive of messages larger than those before may go above it


class _Lease:
    """What the registry knows of a delivery; guarded by the registry's lock. `until` is of the clock."""

    __slots__ = ("delivery", "lost", "message", "until")

    def __init__(self, delivery: Delivery, until: float) -> None:
        self.delivery = delivery
        self.message = delivery.message  # as it came last
        self.until = until
        self.lost = False


class Room(NamedTuple):
    """Of the bounds, the part that is kept for receives under way: so many `calls`, and the bytes expected of them."""

    calls: int
    size: int


class InFlight:
    """All deliveries, by message id. Safe to use from any thread. `visibility_timeout` is in seconds."""

    def __init__(
        self, max_messages: int, visibility_timeout: int, clock: Clock = SYSTEM_CLOCK, *, max_bytes: int = MAX_BYTES
    ) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._visibility_timeout = visibility_timeout
        self._leases: dict[str, _Lease] = {}
        self._bytes = 0
        self._reserved_calls = 0
        self._reserved_bytes = 0
        self._clock = clock
        self._changed = clock.condition()

    def reserve(self, calls: int, body_size: int) -> Room:
        """Keep room for the messages of up to so many receives, whose bodies have some `body_size` bytes each.

        There is room for no call at all while as much is held as may be. What was kept is given back by `release`.
        """
        call_size = BATCH_ENTRIES * body_size
        with self._changed:
            free = self._max_messages - len(self._leases) - BATCH_ENTRIES * self._reserved_calls
            free_bytes = self._max_bytes - self._bytes - self._reserved_bytes
            # The last messages that may be held are worth a receive too, though it may bring a few more.
            calls = max(0, min(calls, -(-free // BATCH_ENTRIES))) if free_bytes > 0 else 0
            if calls and call_size:
                calls = min(calls, max(1, free_bytes // call_size))
            self._reserved_calls += calls
            self._reserved_bytes += calls * call_size
            return Room(calls, calls * call_size)

    def release(self, room: Room) -> None:
        """Those receives have ended; what they brought has been admitted."""
        with self._changed:
            self._reserved_calls -= room.calls
            self._reserved_bytes -= room.size
            self._changed.notify_all()

    def wait_for_room(self, timeout: float) -> bool:
        """Wait until there is room for a receive."""
        with self._changed:
            return self._changed.wait_for(self._has_room, timeout)

    def admit(self, messages: Iterable[Received], received_at: float) -> list[Delivery]:
        """Hold what was just received, and return what we did not hold already.

        The lease counts from `received_at`, when the answer was asked for or later.
        """
        until = received_at + self._visibility_timeout
        admitted = []
        with self._changed:
            for message in messages:
                lease = self._leases.get(message.message_id)
                if lease is not None:
                    lease.message, lease.until, lease.lost = message, until, False
                    continue
                delivery = Delivery(message, received_at)
                self._leases[message.message_id] = _Lease(delivery, until)
                self._bytes += len(message.body)
                admitted.append(delivery)
        return admitted

    def still_ours(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Those whose lease is not lost, each with its message as it came last; the others are forgotten."""
        now = self._clock.monotonic()
        ours = []
        with self._changed:
            for delivery in deliveries:
                lease = self._leases.get(delivery.message.message_id)
                if lease is None or lease.delivery is not delivery or lease.lost or lease.until < now:
                    self._forget(delivery)
                    continue
                delivery.message = lease.message
                ours.append(delivery)
        return ours

    def receipt_handles(self, deliveries: Sequence[Delivery]) -> list[str]:
        """The newest of each."""
        with self._changed:
            leases = [(self._lease_of(delivery) or delivery) for delivery in deliveries]
            return [lease.message.receipt_handle for lease in leases]

    def lease_until(self, delivery: Delivery) -> float:
        """The end of its lease (of the clock); long ago if we do not hold it any more."""
        with self._changed:
            lease = self._lease_of(delivery)
            return float("-inf") if lease is None else lease.until

    def forget(self, deliveries: Iterable[Delivery]) -> None:
        """We no longer hold them: SQS has been told, or will give them to somebody again."""
        with self._changed:
            was_full = not self._has_room()
            for delivery in deliveries:
                self._forget(delivery)
            if was_full:
                self._changed.notify_all()

    def ending_before(self, time_limit: float) -> list[Received]:
        """The messages whose lease ends before that time (of the clock), the ones already lost left out."""
        with self._changed:
            return [lease.message for lease in self._leases.values() if lease.until < time_limit and not lease.lost]

    def extended(self, messages: Iterable[Received], until: float) -> None:
        """Their leases end at that time (of the clock) now."""
        with self._changed:
            for message in messages:
                lease = self._leases.get(message.message_id)
                if lease is not None and lease.message is message:  # else it has come again since, or is settled
                    lease.until = until

    def lost(self, message: Received) -> Delivery | None:
        """Somebody else may have it by now. Returns what we hold of it, unless it has come again since."""
        with self._changed:
            lease = self._leases.get(message.message_id)
            if lease is None or lease.message is not message:
                return None
            lease.lost = True
            return lease.delivery

    def __len__(self) -> int:
        return len(self._leases)

    def _lease_of(self, delivery: Delivery) -> _Lease | None:
        """Not that of a later delivery of the same message, which we may hold by now."""
        lease = self._leases.get(delivery.message.message_id)
        return lease if lease is not None and lease.delivery is delivery else None

    def _forget(self, delivery: Delivery) -> None:
        message = delivery.message
        lease = self._leases.get(message.message_id)
        if lease is not None and lease.delivery is delivery:
            del self._leases[message.message_id]
            self._bytes -= len(message.body)

    def _has_room(self) -> bool:
        held = len(self._leases) + BATCH_ENTRIES * self._reserved_calls
        return held < self._max_messages and self._bytes + self._reserved_bytes < self._max_bytes
