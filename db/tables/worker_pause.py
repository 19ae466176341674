"""The table `worker_pause`: whether an operator has paused all workers. It has one row at most."""

from dataclasses import dataclass
from datetime import UTC, datetime

from db.connection import Connection
from db.statements import qualified

WHO_MAX_LENGTH = 64  # characters, as the table checks
REASON_MAX_LENGTH = 200  # characters, as the table checks


@dataclass(frozen=True, slots=True)
class WorkerPause:
    """The row: `paused_at` is in UTC, `who` and `reason` are what the operator has given, one character at least."""

    paused_at: datetime
    who: str
    reason: str


def read_worker_pause(connection: Connection) -> WorkerPause | None:
    """Return the pause; None if the workers are not paused.

    Raises `psycopg.errors.UndefinedTable` where migration 0003 has not run, and
    `psycopg.errors.InsufficientPrivilege` where `db grant-worker` has not run since.
    """
    return _pause(connection, "read_worker_pause", {})


def set_worker_pause(connection: Connection, who: str, reason: str) -> WorkerPause | None:
    """Pause all workers, from the time of the transaction on; None if they are paused already, which stays as it is.

    Raises `psycopg.errors.CheckViolation` if a text is empty or too long.
    """
    return _pause(connection, "set_worker_pause", {"who": who, "reason": reason})


def clear_worker_pause(connection: Connection) -> WorkerPause | None:
    """Let all workers go on, and return the pause that this ends; None if they were not paused."""
    return _pause(connection, "clear_worker_pause", {})


def _pause(connection: Connection, name: str, parameters: dict[str, str]) -> WorkerPause | None:
    for paused_at, who, reason in connection.execute(qualified(name, connection.schema), parameters).fetchall():
        return WorkerPause(paused_at.astimezone(UTC), who, reason)
    return None
