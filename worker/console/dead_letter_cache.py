"""Dead-letter cache: what pages show of the queue, a copy in memory, made by looking at the queue now and then.

A look is that of `signup-sync dlq list`, with the same promises: short leases, and all is released at its end. It is
repeated while somebody has pages open, and takes at most a tenth of the time, since what one operator looks at is
hidden from the others. A copy from before that is not shown: the first page waits for a new one. Who wants to act goes
first: the look under way is given up.

The copy is bounded: `MAX_LISTED` messages and `MAX_BYTES` of bodies and attributes. What is beyond is counted and not
listed.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

from signup_sync.sqs import SqsError
from worker.aws.sqs import Queue, QueueAttributes, Received
from worker.console.body_view import plain_text
from worker.console.watched_loop import AUDIENCE, WatchedLoop
from worker.dead_letters.dead_letter import DeadLetter, as_text
from worker.dead_letters.groups import Group, groups_of
from worker.dead_letters.scan import Scan

MAX_LISTED = 20_000  # messages
MAX_BYTES = 33_554_432  # of their bodies and attributes together
PART_OF_TIME = 10  # a look is followed by that many times as long without one
MAX_ID = 128  # characters, of a user's id (`signup_sync.events`)
MAX_NAMED = 128  # characters of a reason and a time that a page shows
MAX_DETAIL = 400  # characters of a detail that a page shows, as many as it filters by

WRONG_QUEUE = (
    "the queue of DLQ_URL has a redrive policy of its own: each look counts as a receive, and would move messages on;"
    " is it the right queue?"
)


_is_unmistakable = re.compile(r"[^\s@]+@[^\s@]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


class Listed(DeadLetter):
    """A dead letter that thousands of others are filtered with.

    `user_id` is the user's whom the event is about, or who wrote it; None if it does not say. Of the event only its id
    and type are kept beside its text: read, one of a few bytes a value takes twenty times as much.
    """

    __slots__ = ("_kind", "_plain", "_why", "identities", "text", "user_id")

    def __init__(self, message: Received) -> None:
        super().__init__(message)
        self._why = super().reason[:MAX_NAMED]
        self._kind = super().event_type
        self.text = f"{message.body}\n{as_text(self._event)}".casefold()
        self._plain: str | None = None
        data = self._event.get("data")
        data = data if isinstance(data, dict) else {}
        event_id = self._event.get("id") if self.is_sign_up else None
        self.user_id = _user_id(data.get("cognito_user_id")) or _user_id(event_id)
        given = (event_id, data.get("cognito_user_id"), data.get("handle"), data.get("email"))
        self.identities = frozenset(value.casefold() for value in given if isinstance(value, str))
        self._event = {name: value for name in ("id", "type") if isinstance(value := self._event.get(name), str)}

    @property
    def reason(self) -> str:
        return self._why

    @property
    def detail(self) -> str:
        return super().detail[:MAX_DETAIL]

    @property
    def failed_at(self) -> str:
        return super().failed_at[:MAX_NAMED]

    @property
    def event_type(self) -> str:
        return self._kind

    @property
    def is_sign_up(self) -> bool:
        """Whether it would have made a user's row; its event's id is the user's."""
        return self._kind.startswith("user.signed_up.")

    def contains(self, text: str) -> bool:
        """As for any dead letter, without reading the event again."""
        return text.casefold() in self.text

    @property
    def plain(self) -> str:
        """What can be searched while it is masked."""
        if self._plain is None:
            self._plain = plain_text(self.message.body).casefold()
        return self._plain

    def is_about(self, name: str) -> bool:
        """Whether that is the id, handle or e-mail address of its user. An address or a UUID may be anywhere in it, but
        whole: what finds a part of one finds the rest, letter by letter."""
        wanted = name.casefold()
        if wanted in self.identities:
            return True
        if _is_unmistakable(wanted) is None or wanted not in self.text:
            return False
        return re.search(rf"(?<![\w.+%-]){re.escape(wanted)}(?![\w+%-]|\.\w)", self.text) is not None


def _user_id(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_ID else None


@dataclass(frozen=True)
class Snapshot:
    """What a look has seen. `letters` are the newest first; times are since the epoch."""

    taken_at: float
    letters: tuple[Listed, ...] = ()
    by_id: dict[str, Listed] = field(default_factory=dict)
    types: Counter[str] = field(default_factory=Counter)
    total: int = 0
    oldest_at: float | None = None
    in_flight_elsewhere: int = 0
    at_limit: bool = False

    @cached_property
    def groups(self) -> list[Group]:
        """The largest first. Made for the first page that shows them: most copies are made by an action, one for each
        message that is done with, and seen by nobody."""
        return groups_of(self.letters, self.taken_at)

    def those_of(self, ids: Iterable[str]) -> list[Listed]:
        """Those of these that are there, in this order."""
        return [self.by_id[name] for name in ids if name in self.by_id]

    @property
    def unlisted(self) -> int:
        return self.total - len(self.letters)

    @property
    def unseen(self) -> list[str]:
        """What else may be in the queue, in words; empty if that is nothing."""
        return [
            *([f"{self.unlisted:,} more are only counted"] if self.unlisted else []),
            *(
                [f"about {self.in_flight_elsewhere:,} more are held by somebody else"]
                if self.in_flight_elsewhere
                else []
            ),
            *(["there may be more that SQS did not show"] if self.at_limit else []),
        ]


class NotADeadLetterQueue(Exception):
    """Looking would do harm."""


class DeadLetterCache:
    """Looks in a thread of its own, from `start` to `stop`."""

    def __init__(self, queue: Queue, interval: float, audience: float = AUDIENCE) -> None:
        self._queue = queue
        self._interval = interval
        self._snapshot: Snapshot | None = None
        self.problem: str | None = None
        self._using = threading.Lock()  # the queue: one look or one action at a time
        self._loop = WatchedLoop(
            "dead-letters",
            self._look_and_keep,
            lambda: float("inf") if self._acting else self._due_at,
            lambda problem: self._put(None, problem, 0.0),
            audience,
        )
        self._changed = self._loop.changed  # guards what follows
        self._acting = 0  # who wants to act, or does
        self._due_at = 0.0
        self._outdated = True  # nobody has watched for a while, and there has been no look since
        self._looks = 0
        self._gone: set[str] = set()

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """Release what is held, and return then."""
        self._loop.stop()

    def snapshot(self, wait: float = 0.0) -> Snapshot | None:
        """The newest copy, not from before somebody watched, if one can be had within so many seconds; None if there is
        none at all.

        To ask for it keeps the looks going.
        """
        with self._changed:
            self._watch()
            self._changed.wait_for(lambda: not self._outdated or self._loop.stopped, wait)
            return self._snapshot

    def snapshot_since(self, at: float, wait: float) -> Snapshot | None:
        """The newest copy; of a look that began then (since the epoch) or later, if one ends within `wait` seconds."""
        deadline = time.monotonic() + wait
        while (snapshot := self.snapshot()) is None or snapshot.taken_at < at:
            looked = self.look_now(deadline - time.monotonic())
            if not looked or self.problem is not None or self._loop.stopped:
                return self.snapshot()
        return snapshot

    def look_now(self, timeout: float) -> bool:
        """Look at once, and wait for the end of that; False if it is not over after so many seconds."""
        with self._changed:
            looks = self._looks
            self._due_at = 0.0
            self._watch()
            return self._changed.wait_for(lambda: self._looks > looks or self._loop.stopped, timeout)

    def forget(self, message_ids: Collection[str]) -> None:
        """These are gone from the queue, and so from the copy."""
        with self._changed:
            self._gone.update(message_ids)
            if self._snapshot is not None:
                self._snapshot = _without(self._snapshot, self._gone)
            self._changed.notify_all()

    @contextmanager
    def inspecting(self) -> Iterator[Scan]:
        """Look at the queue in order to act. Raises `SqsError` and `NotADeadLetterQueue`."""
        self._acts(1)
        try:
            with self._using, Scan(self._queue, self._describe()) as inspection:
                yield inspection
        finally:
            self._acts(-1)

    def _watch(self) -> None:
        if not self._loop.watch():
            self._outdated = True
            self._due_at = 0.0

    def _acts(self, change: int) -> None:
        with self._changed:
            self._acting += change
            self._changed.notify_all()

    def _look_and_keep(self) -> None:
        started = time.monotonic()
        snapshot: Snapshot | None = None
        problem = None
        try:
            with self._using:
                snapshot = self._look()
        except (SqsError, NotADeadLetterQueue) as error:
            problem = str(error)
        self._put(snapshot, problem, time.monotonic() - started)

    def _put(self, snapshot: Snapshot | None, problem: str | None, seconds: float) -> None:
        with self._changed:
            if snapshot is not None:
                self._snapshot = _without(snapshot, self._gone)
                self._gone.clear()
            if snapshot is not None or problem is not None:
                self.problem = problem
                self._looks += 1
                self._outdated = False
                self._due_at = time.monotonic() + max(self._interval, PART_OF_TIME * seconds)
            self._changed.notify_all()

    def _look(self) -> Snapshot | None:
        """None if it was given up."""
        started_at = time.time()
        letters = Gathered()
        with Scan(self._queue, self._describe()) as inspection:
            for message in inspection:
                letters.add(message)
                if self._acting or self._loop.stopped:
                    return None
            elsewhere, at_limit = inspection.elsewhere, inspection.at_limit
        return letters.snapshot(started_at, elsewhere, at_limit=at_limit)

    def _describe(self) -> QueueAttributes:
        attributes = self._queue.describe()
        if attributes.max_receive_count is not None:
            raise NotADeadLetterQueue(WRONG_QUEUE)
        return attributes


class Gathered:
    """The messages of a look."""

    def __init__(self) -> None:
        self._letters: list[Listed] = []
        self._bytes = 0
        self._types: Counter[str] = Counter()
        self._oldest_at = float("inf")

    def add(self, message: Received) -> None:
        letter = Listed(message)
        self._types[letter.event_type] += 1
        self._oldest_at = min(self._oldest_at, message.sent_at)
        self._bytes += _size(message)
        if len(self._letters) < MAX_LISTED and self._bytes <= MAX_BYTES:
            self._letters.append(letter)

    def snapshot(self, taken_at: float, elsewhere: int, *, at_limit: bool) -> Snapshot:
        letters = sorted(self._letters, key=lambda letter: (-letter.message.sent_at, letter.id))
        return Snapshot(
            taken_at=taken_at,
            letters=tuple(letters),
            by_id={letter.id: letter for letter in letters},
            types=self._types,
            total=self._types.total(),
            oldest_at=self._oldest_at if self._types else None,
            in_flight_elsewhere=elsewhere,
            at_limit=at_limit,
        )


def _size(message: Received) -> int:
    """About how many bytes it takes."""
    values = [value for attribute in message.attributes.values() for value in attribute.values()]
    return len(message.body) + sum(len(value) for value in values if isinstance(value, str | bytes))


def _without(snapshot: Snapshot, message_ids: Collection[str]) -> Snapshot:
    gone = snapshot.those_of(message_ids)
    if not gone:
        return snapshot
    names = {letter.id for letter in gone}
    letters = tuple(letter for letter in snapshot.letters if letter.id not in names)
    return replace(
        snapshot,
        letters=letters,
        by_id={letter.id: letter for letter in letters},
        types=snapshot.types - Counter(letter.event_type for letter in gone),
        total=snapshot.total - len(gone),
        oldest_at=min((letter.message.sent_at for letter in letters), default=None),
    )
