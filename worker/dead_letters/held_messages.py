"""Held messages: what an operator's command holds of the dead-letter queue while it looks.

A look at a queue is a receive, and a message that was received is invisible to everybody else for its visibility
timeout. So that a command that is killed does not hide messages for long, the timeout is short and extended in the
background; a command that ends, in whatever way it still can, gives everything back at once.

The timeout is 15 seconds, and grows beyond 1,500 messages with their number: extending 100,000 of them, ten a call,
takes minutes. Each look counts as a receive, which does no harm: a dead-letter queue has no dead-letter queue.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from signup_sync.sqs import BATCH_ENTRIES, Failure, SqsError
from worker.aws.sqs import NOT_IN_FLIGHT, Queue, Received

LEASE = 15  # seconds
EXTENDED_PER_SECOND = 100  # messages, on a slow connection
LANES = 8  # calls under way at once

T = TypeVar("T")


class HeldMessages:
    """Messages by their id, each with its newest receipt handle and the end of its lease (of `time.monotonic`).

    Bounded by what SQS lets be in flight: 120,000 messages, which take about 100 MB here. Safe to use from any thread.
    """

    def __init__(self, queue: Queue, shortest_lease: int = LEASE) -> None:
        self._queue = queue
        self._shortest_lease = shortest_lease
        self._interval = shortest_lease / 6
        self._leases: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._extending = threading.Lock()
        self._stopped = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="lease-keeper", daemon=True)
        self._pool = ThreadPoolExecutor(LANES, "held")

    def start(self) -> None:
        """Extend leases from now on."""
        self._keeper.start()

    @property
    def lease(self) -> int:
        """Seconds: the visibility timeout for the number of messages that are held."""
        return max(self._shortest_lease, len(self._leases) // EXTENDED_PER_SECOND)

    def add(self, messages: Iterable[Received], lease_until: float) -> list[Received]:
        """Hold what was received, and return what was not held already. The lease counts from before the receive."""
        with self._lock:
            new = []
            for message in messages:
                if message.message_id not in self._leases:
                    new.append(message)
                self._leases[message.message_id] = (message.receipt_handle, lease_until)
            return new

    def __len__(self) -> int:
        return len(self._leases)

    def has(self, message_id: str) -> bool:
        """Whether it is held, and its lease is not over."""
        with self._lock:
            lease = self._leases.get(message_id)
        return lease is not None and lease[1] > time.monotonic()

    def let_go(self, message_ids: Sequence[str]) -> dict[str, str]:
        """Delete up to ten messages from the queue; returns the codes of those that are still there.

        Raises `SqsError`.
        """
        handles = self._handles(message_ids)
        failed = self._codes(list(handles), self._queue.delete(list(handles.values()))) if handles else {}
        with self._lock:
            for message_id in handles.keys() - failed.keys():
                self._leases.pop(message_id, None)
        return {message_id: NOT_IN_FLIGHT for message_id in message_ids if message_id not in handles} | failed

    def release(self, keep: Collection[str] = ()) -> int:
        """Make everything else visible again, at once. Returns how many messages will be only when their lease is
        over, because SQS could not be told."""
        with self._lock:
            released = {name: lease for name, lease in self._leases.items() if name not in keep}
        with self._extending:  # or a lease that is being extended would outlive the release
            left = sum(self._in_tens(list(released), self._release))
        with self._lock:
            for message_id in released:
                self._leases.pop(message_id, None)
        return left

    def close(self) -> int:
        """Release all and stop; returns what `release` does."""
        self._stopped.set()
        try:
            return self.release()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _keep(self) -> None:
        while not self._stopped.wait(self._interval):
            with self._extending:
                if not self._stopped.is_set():
                    # Whatever SQS has answered: the messages that are held need their leases at the next look, too.
                    with suppress(Exception):
                        self._in_tens(self._ending(), self._extend)

    def _ending(self) -> list[str]:
        ends = time.monotonic() + self.lease * 2 / 3
        with self._lock:
            return [name for name, (_, lease_until) in self._leases.items() if lease_until < ends]

    def _extend(self, message_ids: Sequence[str]) -> None:
        if self._stopped.is_set():
            return
        handles, lease = self._handles(message_ids), self.lease
        until = time.monotonic() + lease
        try:
            failures = self._queue.change_visibility([(handle, lease) for handle in handles.values()])
        except SqsError:
            return  # tried again at the next look, if there is one before the end
        codes = self._codes(list(handles), failures)
        with self._lock:
            for message_id, handle in handles.items():
                if message_id not in codes and message_id in self._leases:
                    self._leases[message_id] = (handle, until)

    def _release(self, message_ids: Sequence[str]) -> int:
        handles = self._handles(message_ids)
        try:
            failures = self._queue.change_visibility([(handle, 0) for handle in handles.values()])
            if failures:
                names = list(handles.values())
                failures = self._queue.change_visibility([(names[failure.index], 0) for failure in failures])
        except SqsError:
            return len(handles)
        return len([failure for failure in failures if not failure.sender_fault])  # else it is no longer ours

    def _handles(self, message_ids: Sequence[str]) -> dict[str, str]:
        with self._lock:
            return {name: self._leases[name][0] for name in message_ids if name in self._leases}

    @staticmethod
    def _codes(message_ids: Sequence[str], failures: Iterable[Failure]) -> dict[str, str]:
        return {message_ids[failure.index]: failure.code for failure in failures}

    def _in_tens(self, message_ids: Sequence[str], call: Callable[[Sequence[str]], T]) -> list[T]:
        starts = range(0, len(message_ids), BATCH_ENTRIES)
        return list(self._pool.map(lambda start: call(message_ids[start : start + BATCH_ENTRIES]), starts))
