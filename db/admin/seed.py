"""Sample data for development: a few people who talk, with replies, and with activities that expire.

Written the way the worker writes, so that it may be loaded twice: what is there stays as it is. Times are relative to
the moment of the first load.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from db.connection import Connection
from db.tables.activities import NewActivity, insert_activities
from db.tables.users import NewUser, insert_users

_NAMESPACE = uuid.UUID("5ee0d1f4-6a53-4c5c-9d2b-3f1a7c0e9b42")

# (handle, display name)
_USERS = (
    ("ada", "Ada Lovelace"),
    ("grace", "Grace Hopper"),
    ("alan", "Alan Turing"),
    ("hedy", "Hedy Lamarr"),
    ("edsger", "Edsger Dijkstra"),
)


@dataclass(frozen=True, slots=True)
class _Post:
    name: str
    handle: str
    ago: timedelta
    message: str
    reply_to: str | None = None
    expires_in: timedelta | None = None
    """From now; negative for what has expired."""


_POSTS = (
    _Post("engine", "ada", timedelta(days=3), "The Analytical Engine weaves algebraic patterns. Who has a punch card?"),
    _Post("card", "grace", timedelta(days=2, hours=22), "I have one, with a moth on it.", "engine"),
    _Post("moth", "alan", timedelta(days=2, hours=21), "Does the moth halt?", "card"),
    _Post("proof", "edsger", timedelta(days=2, hours=20), "Its presence has been shown, never its absence.", "card"),
    _Post("hopping", "hedy", timedelta(days=1, hours=5), "Changing channels again. Do try to keep up.\n📻 88 of them."),
    _Post(
        "nanosecond", "grace", timedelta(hours=9), "Giving away nanoseconds: 30 cm of wire each.", None, timedelta(7)
    ),
    _Post("one", "ada", timedelta(hours=8, minutes=40), "One for me, please!", "nanosecond"),
    _Post("two", "hedy", timedelta(hours=8), "Two, and I shall hop between them.", "nanosecond"),
    _Post("tea", "alan", timedelta(hours=6), "Tea in the hut in ten minutes.", None, timedelta(hours=-5)),
    _Post("goto", "edsger", timedelta(hours=2), "A short letter about a long jump: considered harmful."),
    _Post("agree", "grace", timedelta(minutes=50), "COBOL would like a word.", "goto"),
    _Post("imitation", "alan", timedelta(minutes=4), "Guess which of us is typing this.", None, timedelta(days=30)),
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many rows there are now that were not there before."""

    users: int
    activities: int


def seed(connection: Connection) -> Loaded:
    """Load the sample data, in one transaction. Raises `psycopg.Error`."""
    now = datetime.now(UTC)
    with connection.transaction():
        users = insert_users(connection, [_user(handle, name, now) for handle, name in _USERS])
        activities = insert_activities(connection, [_activity(post, now) for post in _POSTS])
    return Loaded(len(users.inserted), len(activities.inserted))


def _user(handle: str, display_name: str, now: datetime) -> NewUser:
    return NewUser(_sub(handle), display_name, handle, f"{handle}@example.com", now - timedelta(days=30))


def _activity(post: _Post, now: datetime) -> NewActivity:
    return NewActivity(
        uuid=_uuid(post.name),
        cognito_user_id=_sub(post.handle),
        message=post.message,
        reply_to_activity_uuid=_uuid(post.reply_to) if post.reply_to else None,
        expires_at=None if post.expires_in is None else now + post.expires_in,
        created_at=now - post.ago,
    )


def _sub(handle: str) -> str:
    """As long as Cognito's, and nobody's."""
    return str(uuid.uuid5(_NAMESPACE, f"user/{handle}"))


def _uuid(name: str) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, f"activity/{name}")
