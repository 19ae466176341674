"""A database in memory: the worker's statements on tables of dictionaries, one transaction at a time.

The tests in `tests/db/tables` hold for it and for Postgres alike.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg

from db.connection import Connection
from db.statements import qualified
from db.tables.rehearsal import rehearse
from db.tables.worker_pause import REASON_MAX_LENGTH, WHO_MAX_LENGTH, WorkerPause
from signup_sync.characters import INVISIBLE, UNWANTED
from signup_sync.postgres.statements import DEFAULT_SCHEMA
from worker.clock import Clock

_without_unseen = re.compile(f"[{UNWANTED}{INVISIBLE}]").sub

Row = tuple[Any, ...]
Rows = dict[Any, dict[str, Any]]


# The statements that there are, by their text; each is run by the method of `MemoryConnection` with its name.
_STATEMENTS = {
    qualified(name, DEFAULT_SCHEMA): name
    for name in (
        "find_activities",
        "find_users",
        "insert_activities",
        "insert_users",
        "update_users",
        "delete_users",
        "lock_authors",
        "find_tombstones",
        "erase_activities",
        "count_replies",
        "read_worker_pause",
        "set_worker_pause",
        "clear_worker_pause",
    )
}


@dataclass
class _Tables:
    """By `cognito_user_id`, and by `uuid`. A row is never changed, but replaced."""

    users: Rows = field(default_factory=dict)
    activities: Rows = field(default_factory=dict)
    worker_pause: list[Row] = field(default_factory=list)


class _Result(list[Row]):
    """What a statement returns, as a cursor has it."""

    def fetchall(self) -> list[Row]:
        return list(self)


class MemoryConnection:
    """A connection in a transaction. Executes the statements that it knows, by their names."""

    schema = DEFAULT_SCHEMA
    has_citus = False

    def __init__(self, database: "MemoryDatabase") -> None:
        self._database = database
        self._begun = False
        self._tables = _Tables()

    def execute(self, query: str, parameters: Mapping[str, Any]) -> _Result:
        name = _STATEMENTS[query]
        run: Callable[..., list[Row]] = getattr(self, f"_{name}")
        self._database.before(name, parameters)
        self._begin()
        return _Result(run(**parameters))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A savepoint: what raises is undone."""
        before = replace(self._tables, users=dict(self._tables.users), activities=dict(self._tables.activities))
        try:
            yield
        except psycopg.Error:
            self._tables = before
            raise

    def commit(self) -> None:
        if self._begun:
            self._begun = False
            self._database.leave(self._tables)

    def rollback(self) -> None:
        if self._begun:
            self._begun = False
            self._database.leave(None)

    def _begin(self) -> None:
        """With the first statement: until then nobody need wait for us."""
        if not self._begun:
            self._tables = self._database.enter()
            self._begun = True

    def users(self) -> list[dict[str, Any]]:
        """The rows, as this transaction sees them."""
        self._begin()
        return list(self._tables.users.values())

    def activities(self) -> list[dict[str, Any]]:
        """The rows, as this transaction sees them."""
        self._begin()
        return list(self._tables.activities.values())

    def _find_users(self, cognito_user_ids: list[str]) -> list[Row]:
        users = self._tables.users
        return [(key, users[key]["uuid"]) for key in dict.fromkeys(cognito_user_ids) if key in users]

    def _find_activities(self, uuids: list[UUID]) -> list[Row]:
        return [(uuid,) for uuid in dict.fromkeys(uuids) if uuid in self._tables.activities]

    def _insert_users(self, **columns: list[Any]) -> list[Row]:
        users = self._tables.users
        inserted = []
        taken = self._taken_handles()
        for row in _rows(columns):
            if row["cognito_user_id"] not in users and handle_key(row["handle"]) not in taken:
                users[row["cognito_user_id"]] = {"uuid": uuid4(), **_NO_EVENTS, **_with_attributes(row)}
                taken.add(handle_key(row["handle"]))
                inserted.append((row["cognito_user_id"],))
        return inserted

    def _update_users(self, **columns: list[Any]) -> list[Row]:
        users = self._tables.users
        updated = []
        for row in map(_with_attributes, _rows(columns)):
            name = row["cognito_user_id"]
            if name not in users or users[name]["deleted_at"]:
                continue
            if _profile_order(users[name]) >= (row["profile_at"], row["profile_event"]):
                continue
            if handle_key(row["handle"]) in self._taken_handles(but=name):
                raise psycopg.errors.UniqueViolation("users_handle_key")
            users[name] = {**users[name], **row}
            updated.append((name,))
        return updated

    def _taken_handles(self, but: str | None = None) -> set[str]:
        others = (user for name, user in self._tables.users.items() if name != but)
        return {handle_key(user["handle"]) for user in others if user["handle"] is not None}

    def _delete_users(self, **columns: list[Any]) -> list[Row]:
        users = self._tables.users
        deleted = []
        for row in _rows(columns):
            name, deleted_at = row["cognito_user_id"], row["deleted_at"]
            before = users.get(name, {"uuid": uuid4(), "cognito_user_id": name, "deleted_at": None})
            if before["deleted_at"] is None or before["deleted_at"] > deleted_at:
                users[name] = {
                    **before,
                    **_NO_EVENTS,
                    **dict.fromkeys(("display_name", "handle", "email")),
                    "attributes": {},
                    "created_at": deleted_at,
                    "deleted_at": deleted_at,
                }
                deleted.append((name,))
        return deleted

    def _lock_authors(self, cognito_user_ids: list[str]) -> list[Row]:
        users = self._tables.users
        return [(*row, users[row[0]]["deleted_at"] is not None) for row in self._find_users(sorted(cognito_user_ids))]

    def _find_tombstones(self, cognito_user_ids: list[str]) -> list[Row]:
        return [(name,) for name, _uuid, deleted in self._lock_authors(cognito_user_ids) if deleted]

    def _erase_activities(
        self, user_uuid: UUID, deleted_at: datetime, limit: int, created_at: datetime | None, uuid: UUID | None
    ) -> list[Row]:
        activities = self._tables.activities
        places = sorted(
            ((row["created_at"], row["uuid"]) for row in activities.values() if row["user_uuid"] == user_uuid),
            reverse=True,
        )
        page = [place for place in places if created_at is None or place < (created_at, uuid)][:limit]
        for _created_at, name in page:
            row = activities[name]
            if row["deleted_at"] is None or row["deleted_at"] > deleted_at:
                activities[name] = {**row, "message": None, "deleted_at": deleted_at}
        return page[-1:]

    def _insert_activities(self, **columns: list[Any]) -> list[Row]:
        activities = self._tables.activities
        new = [row for row in _rows(columns) if row["uuid"] not in activities]
        for row in new:
            activities[row["uuid"]] = {**row, "replies_count": 0, "deleted_at": None}
        parents = {row["reply_to_activity_uuid"] for row in new} - {None}
        if not parents <= set(activities):
            raise psycopg.errors.ForeignKeyViolation("no such parent")
        return [(row["uuid"],) for row in new]

    def _count_replies(self, uuids: list[UUID], counts: list[int]) -> list[Row]:
        for uuid, count in zip(uuids, counts, strict=True):
            row = self._tables.activities[uuid]
            self._tables.activities[uuid] = {**row, "replies_count": row["replies_count"] + count}
        return []

    def _read_worker_pause(self) -> list[Row]:
        return self._tables.worker_pause

    def _set_worker_pause(self, who: str, reason: str) -> list[Row]:
        if not (0 < len(who) <= WHO_MAX_LENGTH and 0 < len(reason) <= REASON_MAX_LENGTH):
            raise psycopg.errors.CheckViolation("empty or too long")
        if self._tables.worker_pause:
            return []
        self._tables.worker_pause = [(datetime.now(UTC), who, reason)]
        return self._tables.worker_pause

    def _clear_worker_pause(self) -> list[Row]:
        cleared, self._tables.worker_pause = self._tables.worker_pause, []
        return cleared


class MemoryDatabase:
    """As `db.pool.Database`, as far as the pipeline uses it.

    `away` is raised by whoever asks for a connection. `before` is called with the name and the parameters of each
    statement, and with `begin`, `commit`, `probe` and `read_pause`, before it takes effect; it may raise or wait.
    `lost_commits` is how many commits from now on take effect though their answer is lost.
    """

    def __init__(self, clock: Clock) -> None:
        self._changed = clock.condition()
        self._in_use = False
        self._tables = _Tables()
        self.away: psycopg.Error | None = None
        self.before: Callable[[str, Mapping[str, Any]], None] = lambda _name, _parameters: None
        self.lost_commits = 0
        self.probes = 0
        self.rehearsals = 0
        self.looks = 0  # at the pause
        self.commits = 0

    def open(self) -> None:
        """There is nothing to be done."""

    def close(self) -> None:
        """There is nothing to be done."""

    def pool_statistics(self) -> dict[str, int]:
        return {}

    def probe(self) -> None:
        self.probes += 1
        if self.away:
            raise self.away
        self.before("probe", {})

    def rehearse(self) -> None:
        """Its statements are those of any write, by rows that are no message's."""
        self.rehearsals += 1
        if self.away:
            raise self.away
        connection = MemoryConnection(self)
        try:
            rehearse(cast("Connection", connection))
        finally:
            connection.rollback()

    def reset(self) -> None:
        if self.away:
            raise self.away

    def read_pause(self) -> WorkerPause | None:
        """As it is committed: who reads waits for nobody."""
        self.looks += 1
        if self.away:
            raise self.away
        self.before("read_pause", {})
        return next((WorkerPause(*row) for row in self._tables.worker_pause), None)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One after the other; what raises is rolled back."""
        if self.away:
            raise self.away
        self.before("begin", {})
        connection = MemoryConnection(self)
        try:
            yield cast("Connection", connection)
            self.before("commit", {})
            connection.commit()
            self.commits += 1
        finally:
            connection.rollback()
        if self.lost_commits:
            self.lost_commits -= 1
            raise psycopg.OperationalError("the connection is lost")

    def enter(self) -> _Tables:
        """Wait until no other transaction has made statements, and return what is committed, to be changed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_use)
            self._in_use = True
        tables = self._tables
        return replace(tables, users=dict(tables.users), activities=dict(tables.activities))

    def leave(self, tables: _Tables | None) -> None:
        """The transaction is over; these are committed."""
        with self._changed:
            self._tables = tables or self._tables
            self._in_use = False
            self._changed.notify()

    @property
    def users(self) -> dict[str, dict[str, Any]]:
        """The rows, by `cognito_user_id`, as they are committed."""
        return self._tables.users

    @property
    def activities(self) -> dict[UUID, dict[str, Any]]:
        """The rows, by `uuid`, as they are committed."""
        return self._tables.activities


def handle_key(handle: str) -> str:
    """What a handle is compared by, as `handle_key` of migration 0004 in a database whose locale is C.UTF-8."""
    normalized = unicodedata.normalize("NFKC", _without_unseen("", handle))
    # Letter by letter: a lower case of several characters (of U+0130) or that depends on the word (sigma) is not C's.
    return "".join(character.lower()[0] for character in normalized)


_NO_EVENTS = dict.fromkeys(("profile_at", "profile_event", "deleted_at"))


def _with_attributes(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "attributes": json.loads(row["attributes"] or "{}")}


def _profile_order(row: dict[str, Any]) -> tuple[datetime, UUID]:
    return row["profile_at"] or row["created_at"], row["profile_event"] or UUID(int=0)


def _rows(columns: Mapping[str, list[Any] | None]) -> Iterator[dict[str, Any]]:
    """The parameters' names are the columns', with an s at the end. One that is missing is NULL for all, as unnest()
    has it."""
    names = [name.removesuffix("s") for name in columns]
    longest = max(len(values) for values in columns.values() if values is not None)
    for values in zip(*(values or [None] * longest for values in columns.values()), strict=True):
        yield dict(zip(names, values, strict=True))
