"""Invisible messages: how many this worker has put off, of which SQS has each in flight until it is visible again.

A queue has 120,000 in flight at most (`worker.aws.sqs.IN_FLIGHT`), of all workers together; beyond that nobody receives
anything. So there is a bound, and what is put off beyond it is sent again with a delay instead
(`worker.pipeline.acknowledger`).
"""

import threading
from heapq import heappop, heappush

from worker.clock import SYSTEM_CLOCK, Clock


class InvisibleMessages:
    """Counts them, up to `most` at once. Safe to use from any thread."""

    def __init__(self, most: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        # When each is visible again (of the clock). Some are so earlier (`Acknowledger.wake`), and count on.
        self._until: list[float] = []

    def add(self, seconds: int) -> bool:
        """Count one that is to be invisible for so many seconds; False says that there is no room for it."""
        now = self._clock.monotonic()
        with self._lock:
            while self._until and self._until[0] <= now:
                heappop(self._until)
            if len(self._until) >= self._most:
                return False
            heappush(self._until, now + seconds)
            return True
