"""Parked messages: events that came before their author or their parent.

They are back in the queue, and will be received again after a while (`worker.pipeline.retry_delay`). If this very
worker writes what they wait for before that, it makes them visible at once. Other workers' messages just wait: this is
a short cut, and nothing is lost where it does not reach.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from worker.clock import SYSTEM_CLOCK, Clock

MAX_WAITING = 10_000  # events; those that began to wait first are forgotten first


class ParkedMessages:
    """Receipt handles, by the id of the user or activity they wait for. Safe to use from any thread."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._count = 0
        # For each id: the handles, each with the time (of the clock) at which it is of no more use.
        self._handles: OrderedDict[str, list[tuple[str, float]]] = OrderedDict()

    def add(self, waited_for: str, receipt_handle: str, seconds: float) -> None:
        """The message is invisible for so many seconds, unless what it waits for comes earlier."""
        with self._lock:
            self._handles.setdefault(waited_for, []).append((receipt_handle, self._clock.monotonic() + seconds))
            self._count += 1
            while self._count > MAX_WAITING:
                _, forgotten = self._handles.popitem(last=False)
                self._count -= len(forgotten)

    def pop(self, written: Iterable[str]) -> list[str]:
        """The receipt handles of all that still wait for one of these."""
        with self._lock:
            if not self._handles:
                return []
            found = [entry for waited_for in written for entry in self._handles.pop(waited_for, [])]
            self._count -= len(found)
        now = self._clock.monotonic()
        return [handle for handle, until in found if until > now]
