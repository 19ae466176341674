"""How many calls to SQS at once are worth their threads: found out, not configured.

Where the network takes the time, throughput follows the number of calls under way. Where the processor does, or the
queue, more calls only wait for each other, and threads that wait cost too: each change of threads is work. Which of the
two it is shows in how long a call takes, compared with one that had all to itself. In the same way TCP Vegas finds how
much to send at once (Brakmo and Peterson, "TCP Vegas: End to End Congestion Avoidance on a Global Internet", IEEE
Journal on Selected Areas in Communications 13, 1995).
"""

import statistics
import threading
import time

SAMPLES = 5  # calls whose median is compared
MORE_BELOW = 1.6  # times the duration of a lone call: there is room for more
FEWER_ABOVE = 2.2  # times the duration of a lone call: they are in each other's way
MEMORY = 30.0  # seconds; then a lone call is measured anew, since the network and the queue change


class Concurrency:
    """`limit` is how many calls there should be at once: at least one, and `most` at most. Safe to use from any thread.

    `memory` is how long the duration of a lone call holds, in seconds.
    """

    def __init__(self, most: int, *, memory: float = MEMORY) -> None:
        self.most = most
        self._memory = memory
        self._lock = threading.Lock()
        self._begin()

    def took(self, seconds: float) -> bool:
        """One call of many has taken so long; whether this changes the limit."""
        with self._lock:
            self._durations.append(seconds)
            # The first ones began under the limit of before.
            if len(self._durations) < self.limit + SAMPLES:
                return False
            before, duration = self.limit, statistics.median(self._durations[-SAMPLES:])
            if time.monotonic() > self._forget_at:
                self._begin()
            else:
                self._adjust(duration)
            return self.limit != before

    def _begin(self) -> None:
        self.limit = 1
        self._lone = float("inf")  # seconds
        self._forget_at = time.monotonic() + self._memory
        self._durations: list[float] = []

    def _adjust(self, duration: float) -> None:
        self._lone = min(self._lone, duration)
        if duration < MORE_BELOW * self._lone:
            self.limit = min(2 * self.limit, self.most)
        elif duration > FEWER_ABOVE * self._lone:
            self.limit = max(3 * self.limit // 4, 1)
        self._durations.clear()
