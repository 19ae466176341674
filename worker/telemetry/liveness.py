"""Liveness: whether the worker's threads turn: which are at work, and until when they must have ended what they do.

A thread that waits for something to do is well, however long it waits; so is one that waits for the database, because
each attempt to reach it has its limit. One that does not come back from a call is stuck: its limit has passed, and so
has the grace that allows for a slow machine.
"""

import threading
import time

from worker.telemetry.instrumentation import Instrumentation


class Liveness(Instrumentation):
    """Knows what is under way; `grace` is in seconds."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        # By the thread's name. Each thread writes its own entry only, so that no lock is needed.
        self._limits: dict[str, float] = {}

    def busy(self, limit: float) -> None:
        self._limits[threading.current_thread().name] = time.monotonic() + limit

    def idle(self) -> None:
        self._limits.pop(threading.current_thread().name, None)

    def stuck(self) -> list[str]:
        """The names of the threads that are."""
        overdue = time.monotonic() - self._grace
        return sorted(name for name, limit in list(self._limits.items()) if limit < overdue)
