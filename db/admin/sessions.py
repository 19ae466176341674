"""Sessions: who is connected to the database, and ending one of them."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from db.statements import statement
from signup_sync.postgres.statements import Connection


@dataclass(frozen=True, slots=True)
class Session:
    """A client's connection, as `pg_stat_activity` has it (PostgreSQL documentation, 27.2.3).

    Without the rights of `pg_read_all_stats` no more is known of other users' than `pid`, `user_name` and
    `application`.
    """

    pid: int
    user_name: str
    application: str
    client: str
    """Its address, `local`, or empty if it is not known."""
    state: str
    age_seconds: float | None
    """Since it was connected."""
    state_seconds: float | None
    """Since it is in that state."""
    waiting_for: str | None
    """Kind and name of the wait event, such as `Lock transactionid`."""
    blocked_by: list[int]
    """The pids of those who hold the lock, or are before it in line."""
    started_at: datetime | None


def list_sessions(connection: Connection) -> list[Session]:
    """Return all sessions of this database but this one, oldest first. Raises `psycopg.Error`."""
    with connection.cursor(row_factory=class_row(Session)) as cursor:
        return cursor.execute(statement("list_sessions"), {"own_pid": connection.info.backend_pid}).fetchall()


def end_session(connection: Connection, session: Session) -> bool:
    """End a session: its transaction is rolled back. Return whether it is gone.

    Raises `psycopg.Error`, `InsufficientPrivilege` if it is another user's and we may not.
    """
    parameters = {"pid": session.pid, "started_at": session.started_at}
    row = connection.execute(statement("end_session"), parameters).fetchone()
    return row is None or bool(row[0])
