"""Between receiving and writing: received messages wait here to become a batch.

A batch is taken as soon as there is reason to believe that no more comes soon: on a quiet queue at once. Where the
last receive of somebody came back full and they are receiving again, the batch waits for them, until it is full or has
lingered long enough.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence

from worker.in_flight import Delivery


class Inbox:
    """Filled by the receivers, emptied by the writers; `max_linger` is in seconds."""

    def __init__(self, batch_size: int, max_linger: float) -> None:
        self._batch_size = batch_size
        self._max_linger = max_linger
        self._waiting: deque[Delivery] = deque()
        self._more_coming = 0  # receivers whose last receive came back full, and who are receiving again
        self._closed = False
        self._changed = threading.Condition()

    def put(self, deliveries: Sequence[Delivery]) -> None:
        with self._changed:
            is_first = not self._waiting
            self._waiting.extend(deliveries)
            if is_first or self._is_batch():  # a writer that lingers has no use for less
                self._changed.notify()

    def expect_more(self, receivers: int) -> None:
        """Change by so many, up or down, the number of receivers from whom a full receive is expected."""
        with self._changed:
            self._more_coming += receivers
            if self._waiting and self._is_batch():
                self._changed.notify()

    def take(self) -> list[Delivery]:
        """Wait for a batch; an empty one says that the inbox is closed."""
        with self._changed:
            while not self._closed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._waiting:
                    until = self._waiting[0].received_at + self._max_linger
                    self._changed.wait_for(self._is_batch, max(0.0, until - time.monotonic()))
                if self._waiting:  # another writer may have taken them meanwhile
                    return self._next_batch()
            return []

    def close(self) -> list[Delivery]:
        """Let the writers go, and return what none of them has begun."""
        with self._changed:
            self._closed = True
            left, self._waiting = list(self._waiting), deque()
            self._changed.notify_all()
            return left

    def _next_batch(self) -> list[Delivery]:
        batch = [self._waiting.popleft() for _ in range(min(self._batch_size, len(self._waiting)))]
        if self._waiting:
            self._changed.notify()  # what is left over is another writer's batch
        return batch

    def _is_batch(self) -> bool:
        return not self._waiting or len(self._waiting) >= self._batch_size or not self._more_coming or self._closed
