"""The table `activities`: what users have posted, and how often it was replied to."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from db.connection import Connection
from db.statements import qualified
from db.tables.name_locks import lock_authors


class NewActivity(NamedTuple):
    """A row to be: `created_at` is the time of the event, `cognito_user_id` its author."""

    uuid: UUID
    cognito_user_id: str
    message: str
    reply_to_activity_uuid: UUID | None
    expires_at: datetime | None
    created_at: datetime


@dataclass(slots=True)
class ActivitiesInserted:
    """What became of the activities: those in none of the sets were in the table already. `ignored` are those of
    authors who are deleted: nothing of theirs is written any more."""

    inserted: set[UUID] = field(default_factory=set)
    ignored: set[UUID] = field(default_factory=set)
    without_author: set[UUID] = field(default_factory=set)
    without_parent: set[UUID] = field(default_factory=set)


def insert_activities(connection: Connection, activities: Iterable[NewActivity]) -> ActivitiesInserted:
    """Insert those that are not there yet and whose author and parent are there, and count the new replies.

    The parent may be among the activities themselves. An activity that is there already stays as it is, and its
    parent's count too.
    """
    # One order for everyone: see insert_users.
    distinct = {activity.uuid: activity for activity in activities}
    ordered = [distinct[uuid] for uuid in sorted(distinct)]
    names = {activity.cognito_user_id for activity in ordered}
    authors, deleted = _lock_authors(connection, names)
    result = ActivitiesInserted()
    if len(authors) < len(names):
        result.ignored = {a.uuid for a in ordered if a.cognito_user_id in deleted}
        result.without_author = {a.uuid for a in ordered if a.cognito_user_id not in authors} - result.ignored
    ready = _with_parent(connection, [a for a in ordered if a.cognito_user_id in authors])
    result.without_parent = {a.uuid for a in ordered} - {a.uuid for a in ready} - result.without_author - result.ignored
    if ready:
        result.inserted = _insert(connection, ready, authors)
        _count_replies(connection, [a for a in ready if a.uuid in result.inserted])
    return result


def _lock_authors(connection: Connection, cognito_user_ids: Iterable[str]) -> tuple[dict[str, UUID], set[str]]:
    """Those who are there, and those who are deleted; until the transaction ends nobody is deleted who is there."""
    parameters = {"cognito_user_ids": list(cognito_user_ids)}
    authors: dict[str, UUID] = {}
    tombstones: set[str] = set()
    lock_authors(connection, cognito_user_ids)
    query = qualified("find_authors" if connection.has_citus else "lock_authors", connection.schema)
    for name, uuid, is_deleted in connection.execute(query, parameters).fetchall():
        if is_deleted:
            tombstones.add(name)
        else:
            authors[name] = uuid
    return authors, tombstones


def _with_parent(connection: Connection, activities: Sequence[NewActivity]) -> list[NewActivity]:
    """Those that reply to nothing, to what is in the table, or to another of those."""
    parents = {a.reply_to_activity_uuid for a in activities if a.reply_to_activity_uuid is not None}
    known = _find(connection, parents) if parents else set()
    ready: list[NewActivity] = []
    left = list(activities)
    while left:
        now = [a for a in left if a.reply_to_activity_uuid is None or a.reply_to_activity_uuid in known]
        if not now:
            break
        ready += now
        known |= {a.uuid for a in now}
        left = [a for a in left if a.uuid not in known]
    return ready


def _find(connection: Connection, uuids: Iterable[UUID]) -> set[UUID]:
    query = qualified("find_activities", connection.schema)
    return {row[0] for row in connection.execute(query, {"uuids": list(uuids)})}


def _insert(connection: Connection, activities: Sequence[NewActivity], authors: dict[str, UUID]) -> set[UUID]:
    if connection.has_citus:
        return _insert_on_nodes(connection, activities, authors)
    columns = {
        "uuids": [activity.uuid for activity in activities],
        "user_uuids": [authors[activity.cognito_user_id] for activity in activities],
        "messages": [activity.message for activity in activities],
        "reply_to_activity_uuids": [activity.reply_to_activity_uuid for activity in activities],
        "expires_ats": [activity.expires_at for activity in activities],
        "created_ats": [activity.created_at for activity in activities],
    }
    rows = connection.execute(qualified("insert_activities", connection.schema), columns)
    return {row[0] for row in rows.fetchall()}


def _insert_on_nodes(connection: Connection, activities: Sequence[NewActivity], authors: dict[str, UUID]) -> set[UUID]:
    values: list[object] = []
    for a in activities:
        values += (
            a.uuid,
            authors[a.cognito_user_id],
            a.message,
            a.reply_to_activity_uuid,
            a.expires_at,
            a.created_at,
        )
    query = qualified("insert_activities_on_nodes", connection.schema)
    rows = ", ".join(["(%b, %b, %b, %b, %b, %b)"] * len(activities))
    return {row[0] for row in connection.execute(query.format(rows=rows), values)}


def _count_replies(connection: Connection, inserted: Iterable[NewActivity]) -> None:
    counts = Counter(a.reply_to_activity_uuid for a in inserted if a.reply_to_activity_uuid is not None)
    if counts:
        columns = {"uuids": list(counts), "counts": list(counts.values())}
        name = "count_replies_on_nodes" if connection.has_citus else "count_replies"
        connection.execute(qualified(name, connection.schema), columns)
