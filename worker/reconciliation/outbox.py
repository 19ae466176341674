"""Outbox: what reconciliation enqueues, or would, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from signup_sync.events import Event
from signup_sync.publisher import Publisher
from worker.pace import Pace

Outcome = Literal["enqueued", "not_enqueued", "would_enqueue"]


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of an event; `reason` says why it is not enqueued."""

    outcome: Outcome
    reason: str | None = None


class Outbox:
    """Without a `publisher` nothing is enqueued. `rate` is in events a second.

    `called_off` is why nothing more is sent: a call to the queue failed whole, and so would the next ones.
    """

    def __init__(self, publisher: Publisher | None, rate: float | None = None) -> None:
        self.called_off: str | None = None
        self.enqueued = 0
        self._publisher = publisher
        self._pace = Pace(rate)

    def send(self, events: Sequence[Event]) -> list[Sent]:
        """Enqueue them, and say of each what became of it, in order."""
        if self._publisher is None:
            return [Sent("would_enqueue")] * len(events)
        size = self._pace.together(max(1, len(events)))
        sent: list[Sent] = []
        for start in range(0, len(events), size):
            sent += self._publish(events[start : start + size], self._publisher)
        return sent

    def _publish(self, events: Sequence[Event], publisher: Publisher) -> list[Sent]:
        if self.called_off is not None:
            return [Sent("not_enqueued", self.called_off)] * len(events)
        self._pace.wait(len(events))
        reasons: dict[int, str] = {}
        for failure in publisher.publish_many(events):
            reasons[id(failure.event)] = failure.reason
            self.called_off = failure.reason if failure.call_failed else self.called_off
        self.enqueued += len(events) - len(reasons)
        return [Sent("not_enqueued", reasons[id(e)]) if id(e) in reasons else Sent("enqueued") for e in events]
