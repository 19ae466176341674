"""Locks on names, for a database with Citus, which keeps no two writers apart by a row of `users`: there a lock on one
row is a lock on the table, and two that each hold a weak one and want a stronger one are a deadlock.

So whoever writes takes these before, on the coordinator, until the transaction ends (`lock_names.sql`). Elsewhere rows
are locked, and nothing is done here. All raise `psycopg.Error`.
"""

from collections.abc import Iterable

from db.connection import Connection
from db.statements import statement

_EVERYBODY = ""  # a name that no user has


def lock_authors(connection: Connection, cognito_user_ids: Iterable[str]) -> None:
    """For whoever writes activities: their authors are not deleted meanwhile."""
    _lock(connection, cognito_user_ids, is_shared=True)


def lock_deleted(connection: Connection, cognito_user_ids: Iterable[str]) -> None:
    """For whoever deletes users: nobody writes activities of theirs meanwhile."""
    _lock(connection, cognito_user_ids, is_shared=False)


def lock_for_sign_ups(connection: Connection) -> None:
    """For whoever inserts users: nobody changes or deletes any meanwhile."""
    _lock(connection, [_EVERYBODY], is_shared=True)


def lock_for_changes(connection: Connection) -> None:
    """For whoever changes or deletes users, before anything else is written: nobody else writes any meanwhile."""
    _lock(connection, [_EVERYBODY], is_shared=False)


def _lock(connection: Connection, names: Iterable[str], *, is_shared: bool) -> None:
    if connection.has_citus:
        connection.execute(statement("lock_names"), {"names": list(names), "is_shared": is_shared})
