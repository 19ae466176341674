"""Dead letters: what a message in the dead-letter queue says of itself, and which of them an operator means.

What SQS itself moved there, because the worker died on it, says nothing of why: its reason is `worker_crashed`.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from signup_sync.events import InvalidEvent
from signup_sync.sqs import Outgoing
from worker.aws.sqs import Received
from worker.failure import (
    DETAIL,
    FAILED_AT,
    FAILURE_ATTRIBUTES,
    REASON,
    RECEIVE_COUNT,
    WORKER_CRASHED,
    source_queue,
)
from worker.source_queue import PARSERS, SourceQueue

SHORT_ID = 8  # characters

UNREADABLE = "unreadable"
"""Stands for the type of an event that does not say its type."""

# What may be printed of a broken event: anything else may be somebody's address or name, in the wrong place.
_is_name = re.compile(r"[A-Za-z0-9._-]{1,128}").fullmatch


class DeadLetter:
    """A message of the dead-letter queue, as it was received."""

    __slots__ = ("_event", "message")

    def __init__(self, message: Received) -> None:
        self.message = message
        self._event = _members(message.body)

    @property
    def id(self) -> str:
        """The message's, in the dead-letter queue."""
        return self.message.message_id

    @property
    def short_id(self) -> str:
        """Its beginning, which is as good among some hundreds of thousands."""
        return self.id[:SHORT_ID]

    @property
    def label(self) -> str:
        """How it is named to an operator."""
        return self.id

    @property
    def reason(self) -> str:
        return self._attribute(REASON) or WORKER_CRASHED

    @property
    def detail(self) -> str:
        return self._attribute(DETAIL)

    @property
    def failed_at(self) -> str:
        """RFC 3339, UTC; empty if unknown."""
        return self._attribute(FAILED_AT)

    @property
    def source_queue(self) -> SourceQueue:
        """The queue that it came from, and goes back to."""
        return source_queue(self.message.attributes)

    @property
    def event_type(self) -> str:
        """`UNREADABLE` if there is none that can be shown."""
        return plain_name(self._event.get("type")) or UNREADABLE

    @property
    def event_id(self) -> str | None:
        """None if there is none that can be shown."""
        return plain_name(self._event.get("id"))

    @property
    def owner(self) -> str | None:
        """Whose event it is: whom it is about, or who wrote it; None if it does not say."""
        data = self._event.get("data")
        about = self._event.get("id") if self.event_type == "user.signed_up.v1" else None
        for value in (data.get("cognito_user_id") if isinstance(data, dict) else None, about):
            if isinstance(value, str) and value:
                return value
        return None

    @property
    def attempts(self) -> int:
        """Receives in the events queue. Of what SQS moved itself the looks at it in the dead-letter queue count too:
        SQS goes on counting (SQS API Reference, ReceiveMessage, ApproximateReceiveCount)."""
        given = self._attribute(RECEIVE_COUNT)
        return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else self.message.receive_count

    @property
    def problem(self) -> str | None:
        """Why the worker would refuse it today at once, None if it would not. Holds no value of the event."""
        return problem_of(self.message.body, self.source_queue)

    @property
    def names(self) -> frozenset[str]:
        """The ids it may be asked for by: its own, whole or short, the one it had in the events queue, its event's."""
        event_id = self._event.get("id")
        given = [] if isinstance(event_id, dict | list) else [str(event_id)]
        return frozenset({self.id, self.short_id, self._attribute("source_message_id"), *given})

    def original(self, body: str | None = None) -> Outgoing:
        """The message as it was before it failed, or with another body."""
        return Outgoing(self.message.body if body is None else body, without_failure(self.message.attributes))

    def has(self, match: "Match") -> bool:
        """Whether a member of the event is as it says."""
        return match.holds(self._event)

    def contains(self, text: str) -> bool:
        """Whether the body has the text in it, in upper or lower case, escaped or not."""
        wanted = text.casefold()
        if wanted in self.message.body.casefold():
            return True
        return wanted in as_text(self._event).casefold()

    def _attribute(self, name: str) -> str:
        return str(self.message.attributes.get(name, {}).get("StringValue", ""))


@dataclass(frozen=True, slots=True)
class Match:
    """What a member of the event must be: exactly `value`, or something with it as a `part`, in upper or lower case.

    `path` are the keys that lead to it. A value may be said as text or as JSON: `42` is the number and the text.
    """

    path: tuple[str, ...]
    value: str
    part: bool = False

    def holds(self, event: object) -> bool:
        """An event without the member is not meant, whatever the value."""
        for key in self.path:
            if not isinstance(event, dict) or key not in event:
                return False
            event = event[key]
        written = as_text(event)
        text = event if isinstance(event, str) else written
        if self.part:
            return self.value.casefold() in text.casefold()
        return written != "" and self.value in (text, written, as_text(event, ensure_ascii=True))


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters a command is about: those for which all that is given holds. Times are since the epoch.

    `detail` is how theirs begins.
    """

    ids: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    detail: str | None = None
    types: frozenset[str] = frozenset()
    sent_before: float | None = None
    sent_after: float | None = None
    matches_all: tuple[Match, ...] = ()
    text: str | None = None
    limit: int | None = None

    @property
    def is_everything(self) -> bool:
        return self == Selection()

    def matches(self, letter: DeadLetter) -> bool:
        return (
            (not self.ids or not self.ids.isdisjoint(letter.names))
            and (not self.reasons or letter.reason in self.reasons)
            and (self.detail is None or letter.detail.startswith(self.detail))
            and (not self.types or letter.event_type in self.types)
            and (self.sent_before is None or letter.message.sent_at <= self.sent_before)
            and (self.sent_after is None or letter.message.sent_at >= self.sent_after)
            and all(letter.has(match) for match in self.matches_all)
            and (self.text is None or letter.contains(self.text))
        )

    def choose(self, messages: Iterable[Received]) -> Iterator[DeadLetter]:
        """Those that match, as far as the limit; ends early when all messages asked for by their own id are found."""
        chosen = 0
        missing = set(self.ids)
        for letter in map(DeadLetter, messages):
            if not self.matches(letter):
                continue
            yield letter
            chosen += 1
            missing -= {letter.id, letter.short_id}
            if chosen == self.limit or (self.ids and not missing):
                return


def without_failure(attributes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """A message's attributes without those that say why it failed."""
    return {name: value for name, value in attributes.items() if name not in FAILURE_ATTRIBUTES}


def problem_of(body: str, source: SourceQueue) -> str | None:
    """Why the worker would refuse this body at once if it came from there, None if it would not. Holds no value of the
    event."""
    try:
        PARSERS[source](body)
    except InvalidEvent as error:
        return str(error)
    return None


def _members(body: str) -> dict[str, Any]:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def as_text(value: Any, *, ensure_ascii: bool = False) -> str:
    """A value of an event as JSON; empty if it is nested so deep that it could just be read."""
    try:
        return json.dumps(value, ensure_ascii=ensure_ascii)
    except RecursionError:
        return ""


def plain_name(value: object) -> str | None:
    """A value that may be shown and logged; None if it is not a plain id or type, and so may be anything."""
    return value if isinstance(value, str) and _is_name(value) else None
