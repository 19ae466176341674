"""The table `users`: who has signed up."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

import psycopg

from db.connection import Connection
from db.statements import qualified
from db.tables.name_locks import lock_for_sign_ups

HANDLE_MAX_LENGTH = 64  # characters

NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})

# Characters of the hash behind a handle that was taken. The longer ones are for the case that somebody has taken the
# shorter ones too, by chance or on purpose.
_SUFFIX_LENGTHS = (6, 12, 24)


class NewUser(NamedTuple):
    """A row to be: `created_at` is the time of the sign-up."""

    cognito_user_id: str
    display_name: str
    handle: str
    email: str | None
    created_at: datetime
    attributes: Mapping[str, str] = NO_ATTRIBUTES


@dataclass(frozen=True, slots=True)
class NewProfile:
    """What a row is to say from a time on; `event_id` decides between two of the same time."""

    event_id: UUID
    cognito_user_id: str
    display_name: str
    handle: str
    email: str | None
    profile_at: datetime
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class UsersInserted:
    """What became of the users: those in neither set were in the table already.

    `handles_reassigned` (by `cognito_user_id`) is a part of `inserted`; `refused` could not be given any handle.
    """

    inserted: set[str] = field(default_factory=set)
    handles_reassigned: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)


@dataclass(slots=True)
class UsersUpdated:
    """What became of new profiles: of those in none of the sets a newer one was in the table, or the same.

    `updated` are the ids of events, the others are by `cognito_user_id`; `handles_reassigned` is a part of `updated`,
    and `refused` could not be given any handle.
    """

    updated: set[UUID] = field(default_factory=set)
    handles_reassigned: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class User:
    """A row; without a name if `deleted_at` says since when."""

    uuid: UUID
    cognito_user_id: str
    handle: str | None
    display_name: str | None
    email: str | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """What the row of a user who is not deleted says of them; `profile_at` is None before the first new profile."""

    cognito_user_id: str
    display_name: str
    handle: str
    email: str | None
    attributes: dict[str, str]
    created_at: datetime
    profile_at: datetime | None


def insert_users(connection: Connection, users: Iterable[NewUser]) -> UsersInserted:
    """Insert those that are not there yet; a user who is there stays as they are.

    Who wants a handle that another user has (`handle_key` of migration 0004: whatever the case and the width of its
    letters, and whatever is in it that cannot be seen) gets it with a suffix, the same at every attempt.
    """
    distinct: dict[str, NewUser] = {}
    # Everyone inserts in one order, so that two workers with the same users wait for each other and do not deadlock.
    for user in sorted(users, key=lambda user: (user.cognito_user_id, user.created_at)):
        distinct.setdefault(user.cognito_user_id, user)
    ordered = list(distinct.values())
    lock_for_sign_ups(connection)
    result = UsersInserted(inserted=_insert(connection, ordered))
    left = _not_in_table(connection, [user for user in ordered if user.cognito_user_id not in result.inserted])
    for length in _SUFFIX_LENGTHS:
        if not left:
            break
        renamed = [user._replace(handle=_suffixed(user, length)) for user in left]
        inserted = _insert(connection, renamed)
        result.inserted |= inserted
        result.handles_reassigned |= {u.cognito_user_id: u.handle for u in renamed if u.cognito_user_id in inserted}
        left = _not_in_table(connection, [user for user in left if user.cognito_user_id not in inserted])
    result.refused = {user.cognito_user_id for user in left}
    return result


def update_users(connection: Connection, profiles: Iterable[NewProfile]) -> UsersUpdated:
    """Write those that are newer than what is in the table, of users who are there and not deleted.

    The newest `profile_at` wins, and between equal ones the greater `event_id`: the row is the same in whatever order
    they come. A handle that another user has is treated as at the sign-up.
    """
    newest: dict[str, NewProfile] = {}
    for profile in sorted(profiles, key=lambda profile: (profile.profile_at, profile.event_id)):
        newest[profile.cognito_user_id] = profile
    present = find_users(connection, newest)
    # One order for everyone: see insert_users.
    ordered = [newest[name] for name in sorted(present)]
    result = UsersUpdated(unknown=newest.keys() - present, deleted=_tombstones(connection, list(present)))
    ordered = [profile for profile in ordered if profile.cognito_user_id not in result.deleted]
    if not ordered:
        return result
    updated = _update(connection, ordered)
    if updated is not None:
        result.updated = {profile.event_id for profile in ordered if profile.cognito_user_id in updated}
        return result
    for profile in ordered:
        _update_alone(connection, profile, result)
    return result


def _update_alone(connection: Connection, profile: NewProfile, result: UsersUpdated) -> None:
    """With the first handle that nobody else has."""
    for handle in (profile.handle, *(_suffixed(profile, length) for length in _SUFFIX_LENGTHS)):
        updated = _update(connection, [replace(profile, handle=handle)])
        if updated is None:
            continue
        if updated:
            result.updated.add(profile.event_id)
            if handle != profile.handle:
                result.handles_reassigned[profile.cognito_user_id] = handle
        return
    result.refused.add(profile.cognito_user_id)


def find_users(connection: Connection, cognito_user_ids: Iterable[str]) -> dict[str, UUID]:
    """Return the `uuid` of each of these users that is in the table, by `cognito_user_id`."""
    parameters = {"cognito_user_ids": list(cognito_user_ids)}
    rows = connection.execute(qualified("find_users", connection.schema), parameters)
    return dict(rows.fetchall())


def find_profiles(connection: Connection, cognito_user_ids: Iterable[str]) -> dict[str, StoredProfile]:
    """Return what the rows of these users say, by `cognito_user_id`; tombstones are left out."""
    parameters = {"cognito_user_ids": list(cognito_user_ids)}
    rows = connection.execute(qualified("find_profiles", connection.schema), parameters)
    return {row[0]: StoredProfile(*row) for row in rows}


def has_handle(row: StoredProfile, wanted: str) -> bool:
    """Whether the row has the handle of somebody who wants this one: the same, or as others have it, with a suffix."""
    wisher = replace(row, handle=wanted)
    return row.handle == wanted or row.handle in (_suffixed(wisher, length) for length in _SUFFIX_LENGTHS)


def look_up_users(connection: Connection, name: str, ids: Iterable[str] = (), *, limit: int = 20) -> list[User]:
    """Return the users who have this id, handle or e-mail address (in upper or lower case), or one of the ids."""
    parameters = {"name": name, "terms": [name, *ids], "limit": limit}
    return [User(*row) for row in connection.execute(qualified("look_up_users", connection.schema), parameters)]


def list_users(
    connection: Connection, *, page_size: int, created_before: datetime | None = None
) -> Iterator[list[str]]:
    """Every `cognito_user_id` of who is not deleted, page by page; those that are inserted meanwhile may be missing.

    `created_before` leaves out who has signed up at that time or later.
    """
    after = ""
    query = qualified("list_users", connection.schema)
    parameters = {"limit": page_size, "created_before": created_before}
    while page := [row[0] for row in connection.execute(query, {**parameters, "after": after})]:
        yield page
        after = page[-1]


def _insert(connection: Connection, users: Sequence[NewUser]) -> set[str]:
    columns = _columns(users) | {"created_ats": [user.created_at for user in users]}
    rows = connection.execute(qualified("insert_users", connection.schema), columns)
    return {row[0] for row in rows.fetchall()}


def _update(connection: Connection, profiles: Sequence[NewProfile]) -> set[str] | None:
    """None if nothing was written, because somebody has one of the handles."""
    columns = _columns(profiles) | {
        "profile_ats": [profile.profile_at for profile in profiles],
        "profile_events": [profile.event_id for profile in profiles],
    }
    try:
        with connection.transaction():  # a savepoint: what failed is undone, and the rest stays
            return {row[0] for row in connection.execute(qualified("update_users", connection.schema), columns)}
    except psycopg.errors.UniqueViolation:
        return None


def _tombstones(connection: Connection, cognito_user_ids: list[str]) -> set[str]:
    query = qualified("find_tombstones", connection.schema)
    return {row[0] for row in connection.execute(query, {"cognito_user_ids": cognito_user_ids})}


def _columns(rows: Sequence[NewUser | NewProfile]) -> dict[str, object]:
    return {
        "cognito_user_ids": [row.cognito_user_id for row in rows],
        "display_names": [row.display_name for row in rows],
        "handles": [row.handle for row in rows],
        "emails": [row.email for row in rows],
        "attributess": _json([row.attributes for row in rows]),
    }


def _json(attributes: Sequence[Mapping[str, str]]) -> list[str] | None:
    """None if nobody has any: then nothing is sent, and read, for each (unnest() fills up with NULL)."""
    return [json.dumps(dict(one)) for one in attributes] if any(attributes) else None


def _not_in_table(connection: Connection, users: Sequence[NewUser]) -> list[NewUser]:
    if not users:
        return []
    present = find_users(connection, [user.cognito_user_id for user in users])
    return [user for user in users if user.cognito_user_id not in present]


def _suffixed(user: NewUser | NewProfile | StoredProfile, length: int) -> str:
    suffix = "-" + hashlib.sha256(user.cognito_user_id.encode()).hexdigest()[:length]
    return user.handle[: HANDLE_MAX_LENGTH - len(suffix)] + suffix
