"""Tally: what the worker has done with messages, in the log once a minute and at its end."""

import threading
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from worker.clock import SYSTEM_CLOCK, Clock
from worker.telemetry.instrumentation import Committed, Instrumentation

if TYPE_CHECKING:
    from worker.delivery import Delivery

MINUTE = 60.0  # seconds

log = structlog.get_logger()


class Tally(Instrumentation):
    """`_lock` guards the counts. `run` is its thread."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._lock = threading.Lock()
        self._counts = Counter(committed=0, put_off=0, dead=0)
        self._stopped = clock.event()

    @property
    def counts(self) -> Counter[str]:
        """Messages, since the start; one that came twice counts twice."""
        with self._lock:
            return self._counts.copy()

    def committed(self, batch: Committed) -> None:
        self._add("committed", len(batch.deliveries))

    def retried(self, delivery: "Delivery", reason: str) -> None:  # noqa: ARG002
        self._add("put_off", 1)

    def dead_lettered(self, delivery: "Delivery", reason: str) -> None:  # noqa: ARG002
        self._add("dead", 1)

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

    def _add(self, outcome: str, messages: int) -> None:
        with self._lock:
            self._counts[outcome] += messages
