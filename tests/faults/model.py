"""What the tables must hold after all that was sent, worked out in plain Python, without Postgres or the worker."""

import hashlib
import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.support import tables

HANDLE_LENGTH = 64  # characters


@dataclass(frozen=True)
class Profile:
    """What one event says of a user; `handle` is the one that was asked for. `event_id` is None at a sign-up."""

    display_name: str
    handle: str
    email: str | None
    attributes: frozenset[tuple[str, str]]
    time: datetime
    event_id: uuid.UUID | None = None

    def age(self) -> tuple[datetime, uuid.UUID]:
        """The newest has the greatest one."""
        return self.time, self.event_id or uuid.UUID(int=0)


@dataclass(frozen=True)
class Deletion:
    time: datetime
    erases: bool


@dataclass(frozen=True)
class Activity:
    author: str
    message: str
    reply_to: uuid.UUID | None
    time: datetime
    body: str


@dataclass
class Model:
    """Everything that was sent. In the end all of it is written, as if it had come once and in the best order.

    What the order decides is left open, and no more:

    - Which of several sign-ups of a user came first; `created_at` tells, and what their changes make of it follows.
    - Who of several users who want the same handle has it, and whether anybody has: who had it when the others came may
      have given it up since, by a change or by being deleted.
    - Which activities of somebody who is deleted were written before: they stay, without their message if a deletion
      erases; the others are not written, nor what replies to those. Such a reply is a dead letter, `unknown_parent`,
      unless its own author is deleted. What a test has seen in the table (`saw`) stays there, and what is sent for the
      first time of somebody whose tombstone it has seen never comes there.
    """

    users: dict[str, set[Profile]] = field(default_factory=lambda: defaultdict(set))
    updates: dict[str, set[Profile]] = field(default_factory=lambda: defaultdict(set))
    deletions: dict[str, set[Deletion]] = field(default_factory=lambda: defaultdict(set))
    activities: dict[uuid.UUID, Activity] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    written: set[uuid.UUID] = field(default_factory=set)
    too_late: set[uuid.UUID] = field(default_factory=set)
    tombstones: set[str] = field(default_factory=set)

    def add(self, body: str) -> str:
        """A valid event is sent, once or several times. Returns it."""
        event = json.loads(body)
        data, time = event["data"], datetime.fromisoformat(event["time"])
        user = data["cognito_user_id"]
        match event["type"]:
            case "user.signed_up.v1":
                self.users[user].add(_profile(data, time))
            case "user.updated.v1":
                self.updates[user].add(_profile(data, time, uuid.UUID(event["id"])))
            case "user.deleted.v1":
                self.deletions[user].add(Deletion(time, data["activities"] == "erase"))
            case _:
                key, parent = uuid.UUID(event["id"]), data["reply_to_activity_uuid"]
                if user in self.tombstones and key not in self.activities:
                    self.too_late.add(key)
                reply_to = uuid.UUID(parent) if parent else None
                self.activities[key] = Activity(user, data["message"], reply_to, time, body)
        return body

    def add_broken(self, body: str) -> str:
        """A message that can never be written is sent. Returns it."""
        self.broken.add(body)
        return body

    def saw(self, database_url: str) -> None:
        """A look at the tables while events are under way: rows never go, and tombstones never come to life."""
        self.written |= {key for key, *_ in tables.erased(database_url)}
        self.tombstones |= {str(row[0]) for row in tables.lives(database_url) if row[-1] is not None}

    def is_in(self, database_url: str) -> bool:
        """Whether everything has been written, as far as can be told from the keys; of nobody who is deleted."""
        subs = {row[0] for row in tables.users(database_url)}
        return subs == set(self.users) and {row[0] for row in tables.activities(database_url)} == set(self.activities)

    def dead(self, database_url: str) -> dict[str, str]:
        """The bodies that are dead letters in the end, each with its reason, or nothing where there may be several."""
        keys = {key for key, *_ in tables.erased(database_url)}
        left = {
            activity.body: "unknown_parent"
            for key, activity in self.activities.items()
            if key not in keys
            and activity.author not in self.deletions
            and activity.reply_to is not None
            and activity.reply_to not in keys
        }
        return dict.fromkeys(self.broken, "") | left

    def assert_in(self, database_url: str) -> None:
        """The tables hold this, exactly."""
        self._assert_users(database_url)
        self._assert_activities(database_url)

    def _assert_activities(self, database_url: str) -> None:
        rows = {row[0]: row[1:] for row in tables.activities(database_url)}
        written = {key: self.activities[key] for key in self.activities if key in rows}
        replies = Counter(activity.reply_to for activity in written.values() if activity.reply_to)
        expected = {
            key: (a.author, self._message(a), replies[key], 0, 0, a.reply_to, None, a.time)
            for key, a in written.items()
        }
        assert rows == expected
        assert dict(tables.erased(database_url)) == {key: self._erased_at(a) for key, a in written.items()}
        assert self.written <= rows.keys()
        assert not self.too_late & rows.keys()
        lost = [a for key, a in self.activities.items() if key not in rows and not self._may_be_missing(a, rows)]
        assert lost == []

    def _may_be_missing(self, activity: Activity, rows: Mapping[object, object]) -> bool:
        """Of what is deleted, or a reply to what is missing; whether that may be is asked of its own."""
        return activity.author in self.deletions or (activity.reply_to is not None and activity.reply_to not in rows)

    def _message(self, activity: Activity) -> str | None:
        return activity.message if self._erased_at(activity) is None else None

    def _erased_at(self, activity: Activity) -> datetime | None:
        return min((one.time for one in self.deletions.get(activity.author, ()) if one.erases), default=None)

    def _assert_users(self, database_url: str) -> None:
        rows = tables.lives(database_url)
        assert [row[0] for row in rows] == sorted(self.users.keys() | self.deletions.keys())
        asked: dict[str, list[bool]] = defaultdict(list)
        wanted: dict[str, set[str]] = defaultdict(set)
        for sub, *columns in rows:
            name = str(sub)
            if name in self.deletions:
                deleted_at = min(one.time for one in self.deletions[name])
                assert columns == [None, None, None, {}, deleted_at, None, None, deleted_at]
                continue
            profile = self._assert_profile(name, *columns)
            asked[profile.handle.lower()].append(columns[1] == profile.handle)
            wanted[profile.handle.lower()].add(name)
        for handle, has_it in asked.items():
            others_had_it = self._ever_wanted(handle) - wanted[handle]
            assert has_it.count(True) == 1 or (others_had_it and not any(has_it)), f"{has_it} have {handle!r}"

    def _assert_profile(
        self,
        sub: str,
        display_name: object,
        handle: object,
        email: object,
        attributes: Any,
        created_at: object,
        profile_at: object,
        profile_event: object,
        deleted_at: object,
    ) -> Profile:
        """The row is that of the newest event behind the sign-up that was first. Returns what that says."""
        assert deleted_at is None
        first = [sign_up for sign_up in self.users[sub] if sign_up.time == created_at]
        newest: list[Profile] = [max({one, *self.updates.get(sub, ())}, key=Profile.age) for one in first]
        own = (display_name, email, frozenset(attributes.items()), profile_event)
        [profile] = {one for one in newest if (one.display_name, one.email, one.attributes, one.event_id) == own}
        assert profile_at == (profile.time if profile.event_id else None)
        assert handle in (profile.handle, _suffixed(profile.handle, sub))
        if handle != profile.handle:
            assert self._ever_wanted(profile.handle.lower()) - {sub}, f"nobody else wants {profile.handle!r}"
        return profile

    def _ever_wanted(self, handle: str) -> set[str]:
        """Whoever has asked for it in any event, however late that came."""
        events: Iterable[tuple[str, set[Profile]]] = (*self.users.items(), *self.updates.items())
        return {sub for sub, profiles in events for one in profiles if one.handle.lower() == handle}


def _profile(data: Mapping[str, Any], time: datetime, event_id: uuid.UUID | None = None) -> Profile:
    attributes = frozenset(data.get("attributes", {}).items())
    return Profile(data["display_name"], data["handle"], data["email"], attributes, time, event_id)


def _suffixed(handle: str, sub: str) -> str:
    suffix = "-" + hashlib.sha256(sub.encode()).hexdigest()[:6]
    return handle[: HANDLE_LENGTH - len(suffix)] + suffix
