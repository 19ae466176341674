"""What is in the tables, as a connection's transaction sees it."""

from typing import Any

from psycopg.rows import dict_row

from signup_sync.postgres.statements import Connection
from tests.support.memory_database import MemoryConnection

Row = dict[str, Any]


def users(connection: Connection) -> list[Row]:
    """All columns, in no order."""
    if isinstance(connection, MemoryConnection):
        return connection.users()
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT * FROM users").fetchall()


def activities(connection: Connection) -> list[Row]:
    """All columns, in no order."""
    if isinstance(connection, MemoryConnection):
        return connection.activities()
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT * FROM activities").fetchall()
