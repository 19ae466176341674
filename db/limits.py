"""Limits of a transaction: how long each of its statements may take, and may wait for a lock."""

from functools import cache

from psycopg import sql

from db.connection import Connection
from db.statements import statement


def set_limits(connection: Connection, *, statement_timeout_ms: int, lock_timeout_ms: int) -> None:
    """Bound each statement, in milliseconds, until the transaction ends: on the nodes too where there are any.

    Raises `psycopg.Error`.
    """
    if connection.has_citus:
        connection.execute(_of_citus(statement_timeout_ms, lock_timeout_ms))
    else:
        limits = {"statement_timeout_ms": statement_timeout_ms, "lock_timeout_ms": lock_timeout_ms}
        connection.execute(statement("set_limits"), limits)


@cache
def _of_citus(statement_timeout_ms: int, lock_timeout_ms: int) -> bytes:
    """SET takes no parameters (PostgreSQL documentation, "PREPARE"): the numbers are quoted here."""
    limits = {
        "statement_timeout_ms": sql.Literal(statement_timeout_ms),
        "lock_timeout_ms": sql.Literal(lock_timeout_ms),
    }
    return sql.SQL(statement("set_limits_on_nodes")).format(**limits).as_bytes(None)
