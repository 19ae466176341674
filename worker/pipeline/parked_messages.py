"""Parked messages: events that came before their author or their parent.

They are back in the queue, and will be received again after a while (`worker.pipeline.retry_delay`). If this very
worker writes what they wait for before that, it makes them visible at once. Other workers' messages just wait: this is
a short cut, and nothing is lost where it does not reach.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from worker.aws.sqs import Received
from worker.clock import SYSTEM_CLOCK, Clock
from worker.telemetry.instrumentation import Waiting

MAX_WAITING = 10_000  # events; those that began to wait first are forgotten first

Wake = Callable[[Sequence[str]], object]
"""Makes messages visible, by their receipt handles, in the queue that they came from."""


@dataclass(frozen=True, slots=True)
class _Parked:
    """A message that is invisible until `until`, and was first put off at `since` (of the clock)."""

    receipt_handle: str
    reason: str
    since: float
    until: float
    wake: Wake


class ParkedMessages:
    """By the id of the user or activity they wait for. Safe to use from any thread."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._count = 0
        # For each id that is waited for: the messages, by their own.
        self._parked: OrderedDict[str, dict[str, _Parked]] = OrderedDict()

    def add(self, waited_for: str, message: Received, reason: str, seconds: float, wake: Wake) -> None:
        """The message is invisible for so many seconds, unless what it waits for comes earlier."""
        now = self._clock.monotonic()
        with self._lock:
            messages = self._parked.setdefault(waited_for, {})
            before = messages.get(message.message_id)
            since = before.since if before else now
            messages[message.message_id] = _Parked(message.receipt_handle, reason, since, now + seconds, wake)
            self._count += before is None
            while self._count > MAX_WAITING:
                _, forgotten = self._parked.popitem(last=False)
                self._count -= len(forgotten)

    def wake(self, written: Iterable[str]) -> None:
        """Wake all that still wait for one of these; they are remembered no longer."""
        with self._lock:
            if not self._parked:
                return
            found = [parked for waited_for in written for parked in self._parked.pop(waited_for, {}).values()]
            self._count -= len(found)
        now = self._clock.monotonic()
        for parked in found:
            if parked.until > now:
                parked.wake([parked.receipt_handle])

    def waiting(self) -> list[Waiting]:
        """What is not visible yet, as far as it is remembered: one for each reason that there is, by its name."""
        now = self._clock.monotonic()
        with self._lock:
            parked = [one for messages in self._parked.values() for one in messages.values() if one.until > now]
        return [
            _waiting(reason, [one for one in parked if one.reason == reason], now)
            for reason in sorted({one.reason for one in parked})
        ]


def _waiting(reason: str, parked: list[_Parked], now: float) -> Waiting:
    since, until = min(one.since for one in parked), max(one.until for one in parked)
    return Waiting(reason, len(parked), waited=now - since, left=until - now)
