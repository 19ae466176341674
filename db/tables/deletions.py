"""Deletion of users: a tombstone is left of each in `users`, and nothing of what they have posted unless it is kept."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.connection import Connection
from db.statements import qualified
from db.tables.name_locks import lock_deleted
from db.tables.users import find_users

PAGE_SIZE = 2000  # activities that one statement erases, so that each takes about as long as any other


@dataclass(frozen=True, slots=True)
class Deletion:
    """A user who is to be deleted, and whether their activities are to be erased."""

    cognito_user_id: str
    deleted_at: datetime
    erases: bool


def delete_users(connection: Connection, deletions: Iterable[Deletion], *, page_size: int = PAGE_SIZE) -> set[str]:
    """Leave a tombstone of each, of those too who never had a row, and erase their activities.

    The tables are the same in whatever order deletions of one user come: the earliest time counts, and one that erases
    is enough. Returns those who were not deleted before, or later.
    """
    deletions = sorted(deletions, key=lambda deletion: deletion.deleted_at, reverse=True)
    deleted_ats = {one.cognito_user_id: one.deleted_at for one in deletions}  # the earliest is the last one, and stays
    erased_ats = {one.cognito_user_id: one.deleted_at for one in deletions if one.erases}
    lock_deleted(connection, deleted_ats)
    columns = {"cognito_user_ids": list(deleted_ats), "deleted_ats": list(deleted_ats.values())}
    deleted = {row[0] for row in connection.execute(qualified("delete_users", connection.schema), columns)}
    # By now whoever writes activities of theirs has ended, and they are all there (lock_authors.sql).
    for name, uuid in find_users(connection, erased_ats).items():
        _erase_activities(connection, uuid, erased_ats[name], page_size)
    return deleted


def count_activities(connection: Connection, user_uuid: UUID) -> int:
    """How many a deletion that erases would erase."""
    [(count,)] = connection.execute(qualified("count_activities", connection.schema), {"user_uuid": user_uuid})
    return int(count)


def _erase_activities(connection: Connection, user_uuid: UUID, deleted_at: datetime, page_size: int) -> None:
    query = qualified("erase_activities", connection.schema)
    parameters = {
        "user_uuid": user_uuid,
        "deleted_at": deleted_at,
        "limit": page_size,
        "created_at": None,
        "uuid": None,
    }
    while rows := connection.execute(query, parameters).fetchall():
        [(created_at, uuid)] = rows
        parameters |= {"created_at": created_at, "uuid": uuid}
