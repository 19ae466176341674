"""Tally: what the worker has done with messages, in the log once a minute and at its end."""

import threading
from collections import Counter
from typing import Literal, get_args

import structlog

from worker.clock import SYSTEM_CLOCK, Clock

MINUTE = 60.0  # seconds

Outcome = Literal["committed", "put_off", "dead"]

log = structlog.get_logger()


class Tally:
    """Safe to use from any thread: `_lock` guards the counts. `run` is its thread."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter(dict.fromkeys(get_args(Outcome), 0))
        self._stopped = clock.event()

    def add(self, outcome: Outcome, messages: int = 1) -> None:
        with self._lock:
            self._counts[outcome] += messages

    @property
    def counts(self) -> Counter[str]:
        """Messages, since the start; one that came twice counts twice."""
        with self._lock:
            return self._counts.copy()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        """Log what was done each minute, if it was anything, until stopped."""
        before = self.counts
        while not self._stopped.wait(MINUTE):
            now = self.counts
            if now != before:
                log.info("progress", **{outcome: now[outcome] - before[outcome] for outcome in now})
            before = now
