"""Changes: users whose profile is another one in the pool than in the table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from db.connection import Connection
from db.tables.users import StoredProfile, find_profiles, has_handle
from signup_sync.events import InvalidEvent, UserUpdated
from worker.aws.cognito import PoolUser
from worker.reconciliation.outbox import Outbox, Sent
from worker.reconciliation.public_profile import profile

# Of a UserLastModifiedDate, whose last digit is that of milliseconds (Amazon Cognito user pools API Reference,
# ListUsers, "Examples").
RESOLUTION = timedelta(milliseconds=1)
_NEXT = timedelta(microseconds=1)  # Postgres' resolution (PostgreSQL documentation, 8.5 "Date/Time Types")


@dataclass(frozen=True, slots=True)
class Change:
    """A user who differs, the names of the fields in which they do, and what was done about it."""

    sub: str
    fields: tuple[str, ...]
    sent: Sent


@dataclass(slots=True)
class ChangeCounts:
    """How many differ: `changed` is `enqueued`, `failed`, `newer`, and those that a dry run would have enqueued.

    `newer`: the row has an update that came after the pool's last change, and so nothing is to be done.
    """

    changed: int = 0
    enqueued: int = 0
    failed: int = 0
    newer: int = 0


class ChangeSearch:
    """Compares the users of a pool with their rows. Tombstones are not compared, nor is who has no row.

    `carried`: the names of the Cognito attributes that go along. `since`: users whom Cognito has last changed before
    are left out.
    """

    def __init__(
        self, pool_id: str, connection: Connection, outbox: Outbox, carried: Sequence[str], since: datetime | None
    ) -> None:
        self.counts = ChangeCounts()
        self._source = f"/cognito/{pool_id}"
        self._connection = connection
        self._outbox = outbox
        self._carried = carried
        self._since = since

    def see(self, page: Iterable[PoolUser]) -> list[Change]:
        """Those of these who differ. Raises `psycopg.Error`."""
        users = {user.sub: user for user in page if self._since is None or user.modified_at >= self._since}
        changes: dict[str, Change] = {}
        events: list[tuple[UserUpdated, tuple[str, ...]]] = []
        for sub, row in find_profiles(self._connection, users).items():
            try:
                event = self._event(users[sub], row)
            except InvalidEvent as error:
                changes[sub] = Change(sub, (), Sent("not_enqueued", str(error)))
                continue
            fields = _differences(row, event)
            if fields and _is_newer(row, users[sub]):
                changes[sub] = Change(sub, fields, Sent("not_enqueued", _NEWER))
            elif fields:
                events.append((event, fields))
        for (event, fields), sent in zip(events, self._outbox.send([event for event, _ in events]), strict=True):
            changes[event.data.cognito_user_id] = Change(event.data.cognito_user_id, fields, sent)
        for change in changes.values():
            self._count(change)
        return list(changes.values())

    def _event(self, user: PoolUser, row: StoredProfile) -> UserUpdated:
        """Of the time at which Cognito has last changed the user.

        If the row is as old as that, or says what was known at a sign-up which came just after (Cognito changes a user
        before it tells the trigger), it is what goes along that has changed: it is the next moment.
        """
        return UserUpdated.new(
            cognito_user_id=user.sub,
            source=self._source,
            time=max(user.modified_at, (row.profile_at or row.created_at) + _NEXT),
            **profile(user.username, user.attributes, self._carried),
        )

    def _count(self, change: Change) -> None:
        self.counts.changed += 1
        self.counts.enqueued += change.sent.outcome == "enqueued"
        self.counts.newer += change.sent.reason == _NEWER
        self.counts.failed += change.sent.outcome == "not_enqueued" and change.sent.reason != _NEWER


_NEWER = "the row is newer"


def _is_newer(row: StoredProfile, user: PoolUser) -> bool:
    return row.profile_at is not None and row.profile_at >= user.modified_at + RESOLUTION


def _differences(row: StoredProfile, event: UserUpdated) -> tuple[str, ...]:
    new = event.data
    same = {
        "handle": has_handle(row, new.handle),
        "display_name": row.display_name == new.display_name,
        "email": row.email == new.email,
        "attributes": row.attributes == new.attributes,
    }
    return tuple(name for name, is_same in same.items() if not is_same)
