"""What is in the tables, as a connection's transaction sees it."""

from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from db.connection import Connection
from tests.support.memory_database import MemoryConnection

Row = dict[str, Any]


def users(connection: Connection) -> list[Row]:
    """All columns, in no order."""
    if isinstance(connection, MemoryConnection):
        return connection.users()
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_all_of(connection, "users")).fetchall()


def activities(connection: Connection) -> list[Row]:
    """All columns, in no order."""
    if isinstance(connection, MemoryConnection):
        return connection.activities()
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_all_of(connection, "activities")).fetchall()


def _all_of(connection: Connection, table: str) -> sql.Composed:
    return sql.SQL("SELECT * FROM {}").format(sql.Identifier(connection.schema, table))
