"""Source queues of dead letters: where each goes back to, which is the queue that it came from and no other.

A sign-up that was refused because it came from the activities queue would be taken from the events queue: so no
command sends it there, whatever is chosen, edited or forced.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

from worker.aws.sqs import Queue
from worker.source_queue import SETTINGS, SourceQueue


class Sourced(Protocol):
    @property
    def source_queue(self) -> SourceQueue:
        """From which it came."""


class SourceQueues:
    """Those that the settings name, by what comes from them; the events queue is one of them."""

    def __init__(self, queues: Mapping[SourceQueue, Queue]) -> None:
        self._queues = queues

    @property
    def events(self) -> Queue:
        return self._queues["events"]

    @property
    def activities(self) -> Queue | None:
        return self._queues.get("activities")

    def __iter__(self) -> Iterator[tuple[SourceQueue, Queue]]:
        return iter(self._queues.items())

    def of(self, entry: Sourced) -> Queue | None:
        """Where it goes back to; None if the settings do not name that queue."""
        return self._queues.get(entry.source_queue)


def unnamed(entry: Sourced) -> str:
    """Why it cannot go back, in words."""
    return f"it came from the {entry.source_queue} queue: set {SETTINGS[entry.source_queue]}"
