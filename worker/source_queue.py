"""Source queues: where a worker's messages come from, and what may come from each.

There is the events queue, from which every event may come, and, where ACTIVITIES_QUEUE_URL names one, the activities
queue of those publishers who may not sign anybody up. An event of any other type than theirs is refused, whatever it
is, and so are those of types that are yet to come.
"""

from collections.abc import Callable
from typing import Literal

from pydantic_core import from_json

from signup_sync.events import ActivityCreated, Event, InvalidEvent, parse_event

SourceQueue = Literal["events", "activities"]

SETTINGS: dict[SourceQueue, str] = {"events": "QUEUE_URL", "activities": "ACTIVITIES_QUEUE_URL"}
"""What names each queue's URL."""

_WRONG_QUEUE = "type: only activity.created.v1 may come from the activities queue"


class WrongQueue(InvalidEvent):
    """Something that may not come from the queue that it came from."""

    def __init__(self) -> None:
        super().__init__(_WRONG_QUEUE, unknown_type=False)


def _parse_activity(body: str) -> ActivityCreated:
    """As `parse_event`, of the activities queue. Raises `InvalidEvent`, which is `WrongQueue` for other types."""
    try:
        event = parse_event(body)
    except InvalidEvent:
        if _type_of(body) not in (None, "activity.created.v1"):
            raise WrongQueue from None
        raise
    if not isinstance(event, ActivityCreated):
        raise WrongQueue
    return event


def _type_of(body: str) -> str | None:
    """What the body says that it is; None if it does not say."""
    try:
        event = from_json(body)
    except ValueError:
        return None
    type_ = event.get("type") if isinstance(event, dict) else None
    return type_ if isinstance(type_, str) else None


PARSERS: dict[SourceQueue, Callable[[str], Event]] = {
    "events": parse_event,
    "activities": _parse_activity,
}
"""How a message's body is read, by the queue that it came from. All raise `InvalidEvent`."""


def in_logs(source: SourceQueue) -> dict[str, str]:
    """What the log lines about a queue have to tell it from the events queue."""
    return {} if source == "events" else {"queue": source}
