"""What people read, as JSON that a backend hands through: the home feed, a user's activities, an activity's replies.

An activity is an object with `uuid`, `message`, `replies_count`, `reposts_count`, `likes_count`,
`reply_to_activity_uuid`, `expires_at` and `created_at`, and, except under its author, with the author's `handle` and
`display_name`, which are null if the author is deleted. What has expired is left out, and so is what was erased with
its author; in a thread, where others have replied to it, it is there with `deleted_at` and without `message`. There is
no e-mail address in any of it.

Pages are cut by keyset: the next one begins behind the `Position` of the last activity of this one. So a page costs the
same however deep it is, and what is posted meanwhile moves nothing. A page that is shorter than its limit is the last.

Tables are named with their `schema`, that of the worker's DATABASE_SCHEMA: a connection's own search_path does not
matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

from signup_sync.postgres.query import query_array_json, query_object_json
from signup_sync.postgres.statements import DEFAULT_SCHEMA, Connection, qualified

PAGE_SIZE = 20  # activities


@dataclass(frozen=True, slots=True)
class Position:
    """Where an activity stands in time; its text is `2026-01-31T12:00:00Z/<uuid>`."""

    created_at: datetime
    uuid: UUID

    @classmethod
    def of(cls, activity: Mapping[str, str]) -> Self:
        """Of an activity as it is in a page."""
        return cls(datetime.fromisoformat(activity["created_at"]), UUID(activity["uuid"]))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` made. Raises `ValueError`."""
        created_at, _, uuid = text.partition("/")
        time = datetime.fromisoformat(created_at)
        if time.tzinfo is None:
            raise ValueError("the time has no time zone")
        try:
            return cls(time.astimezone(UTC), UUID(uuid))
        except OverflowError:
            raise ValueError("the time is, in UTC, outside the years 1 to 9999") from None

    def __str__(self) -> str:
        return f"{self.created_at.astimezone(UTC).isoformat().replace('+00:00', 'Z')}/{self.uuid}"


def home_feed(
    connection: Connection, *, before: Position | None = None, limit: int = PAGE_SIZE, schema: str = DEFAULT_SCHEMA
) -> bytes:
    """Return what everybody has posted, replies included, newest first: an array of activities.

    Raises `psycopg.Error`, and `ValueError` for a name that no schema of ours has.
    """
    return query_array_json(connection, qualified("home_feed", schema), {**_key(before), "limit": limit})


def user_with_activities(
    connection: Connection,
    handle: str,
    *,
    before: Position | None = None,
    limit: int = PAGE_SIZE,
    schema: str = DEFAULT_SCHEMA,
) -> bytes | None:
    """Return the user with that handle, and what they have posted, newest first.

    The case and the width of its letters make no difference, nor does what cannot be seen (`handle_key` of migration
    0004). An object with `uuid`, `handle`, `display_name`, `created_at` and `activities`; None if there is nobody.
    Raises as `home_feed` does.
    """
    parameters = {**_key(before), "handle": handle, "limit": limit}
    return query_object_json(connection, qualified("user_with_activities", schema), parameters)


def activity_with_replies(
    connection: Connection,
    uuid: UUID,
    *,
    after: Position | None = None,
    limit: int = PAGE_SIZE,
    schema: str = DEFAULT_SCHEMA,
) -> bytes | None:
    """Return an activity, and in `replies` those to it, oldest first; None if there is none, or it has expired.

    Raises as `home_feed` does.
    """
    key = {f"after_{name}": value for name, value in _key(after).items()}
    parameters = {**key, "uuid": uuid, "limit": limit}
    return query_object_json(connection, qualified("activity_with_replies", schema), parameters)


def _key(position: Position | None) -> dict[str, object]:
    return {
        "created_at": position.created_at if position else None,
        "uuid": position.uuid if position else None,
    }
