"""Adaptive limit: how many threads at once are worth their cost, found out and not configured.

One interpreter runs one thread at a time. A thread that carries a batch computes for a part of the time and waits for
the queue and the database for the rest; as many as it takes for one to compute while the others wait keep the
interpreter busy, and more only wait for each other, which costs too: each change of threads is work. That number is
1 + W / C, of the time that a batch waits and the time that it computes (Goetz and others, "Java Concurrency in
Practice", 2006, 8.2 "Sizing Thread Pools"). On the loopback that is 2; with 20 ms to SQS, 8 to 10.
"""

import statistics
import threading
from collections import deque

SAMPLES = 5  # batches whose median computing time counts
MEMORY = 30.0  # seconds; then a lone batch is measured anew, since the network and the queue change


class AdaptiveLimit:
    """`limit` is how many threads there should be at once: at least one, `most` at most. Safe to use from any thread.

    `memory` is how long the duration of a lone batch holds, in seconds.
    """

    def __init__(self, most: int, *, memory: float = MEMORY) -> None:
        self._most = most
        self._memory = memory
        self._lock = threading.Lock()  # guards what follows
        self._computed: deque[float] = deque(maxlen=SAMPLES)  # seconds
        self._since = float("-inf")  # of the clock
        self._lone = float("inf")  # seconds
        self.limit = 1

    def took(self, began: float, ended: float, computed: float) -> None:
        """A full batch was carried in this time (of the clock), and its thread computed for so many seconds."""
        with self._lock:
            if began < self._since:
                return  # among others
            if ended > self._since + self._memory:
                self.limit, self._lone, self._since = 1, float("inf"), ended
                return
            # What a batch takes among others is longer, because they compute too; the shortest is that of a lone one.
            self._lone = min(self._lone, ended - began)
            self._computed.append(computed)
            self.limit = max(1, min(round(self._lone / statistics.median(self._computed)), self._most))
