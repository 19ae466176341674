"""What the tables must hold after all that was sent, worked out in plain Python, without Postgres or the worker."""

import hashlib
import json
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from tests.support import tables

HANDLE_LENGTH = 64  # characters


@dataclass(frozen=True)
class SignUp:
    """One of the events that were sent for a user; `handle` is the one that was asked for."""

    display_name: str
    handle: str
    email: str | None
    time: datetime


@dataclass(frozen=True)
class Activity:
    author: str
    message: str
    reply_to: uuid.UUID | None
    time: datetime


@dataclass
class Model:
    """Everything that was sent. In the end all of it is written, as if it had come once and in the best order.

    What the order decides is left open: which of several sign-ups of a user came first, and who of several users who
    want the same handle has it.
    """

    users: dict[str, set[SignUp]] = field(default_factory=lambda: defaultdict(set))
    activities: dict[uuid.UUID, Activity] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def add(self, body: str) -> str:
        """A valid event is sent, once or several times. Returns it."""
        event = json.loads(body)
        data, time = event["data"], datetime.fromisoformat(event["time"])
        user = data["cognito_user_id"]
        if event["type"] == "user.signed_up.v1":
            self.users[user].add(SignUp(data["display_name"], data["handle"], data["email"], time))
        else:
            parent = data["reply_to_activity_uuid"]
            activity = Activity(user, data["message"], uuid.UUID(parent) if parent else None, time)
            self.activities[uuid.UUID(event["id"])] = activity
        return body

    def add_broken(self, body: str) -> str:
        """A message that can never be written is sent. Returns it."""
        self.broken.add(body)
        return body

    def is_in(self, database_url: str) -> bool:
        """Whether everything has been written, as far as can be told from the keys."""
        subs = {row[0] for row in tables.users(database_url)}
        return subs == set(self.users) and {row[0] for row in tables.activities(database_url)} == set(self.activities)

    def assert_in(self, database_url: str) -> None:
        """The tables hold this, exactly."""
        self._assert_users(database_url)
        replies = Counter(activity.reply_to for activity in self.activities.values() if activity.reply_to)
        expected = {
            key: (activity.author, activity.message, replies[key], 0, 0, activity.reply_to, None, activity.time)
            for key, activity in self.activities.items()
        }
        assert {row[0]: row[1:] for row in tables.activities(database_url)} == expected

    def _assert_users(self, database_url: str) -> None:
        rows = tables.users(database_url)
        assert [row[0] for row in rows] == sorted(self.users)
        asked: dict[str, list[bool]] = defaultdict(list)
        for sub, display_name, handle, email, created_at in rows:
            [event] = [
                sign_up
                for sign_up in self.users[str(sub)]
                if (sign_up.display_name, sign_up.email, sign_up.time) == (display_name, email, created_at)
                and handle in (sign_up.handle, _suffixed(sign_up.handle, str(sub)))
            ]
            asked[event.handle.lower()].append(handle == event.handle)
        for handle, has_it in asked.items():
            assert has_it.count(True) == 1, f"{has_it.count(True)} users have the handle {handle!r}"


def _suffixed(handle: str, sub: str) -> str:
    suffix = "-" + hashlib.sha256(sub.encode()).hexdigest()[:6]
    return handle[: HANDLE_LENGTH - len(suffix)] + suffix
