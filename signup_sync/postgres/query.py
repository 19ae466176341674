"""For backends: statements with parameters, and rows that Postgres itself writes as JSON.

Every function takes a connection (of psycopg: `psycopg.connect`, or from a `psycopg_pool.ConnectionPool`) and a
statement with psycopg's named placeholders, `%(name)s`; a literal percent sign is `%%` if there are parameters. A
statement that is put together from strings does not pass a type checker: values are parameters, always.

    with pool.connection() as connection:
        body = query_object_json(connection, "SELECT handle FROM users WHERE uuid = %(uuid)s", {"uuid": uuid})

What they raise is psycopg's own error. It carries a note, which a traceback shows, with what `explain` says.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from signup_sync.postgres.errors import Fault, describe, fault_of
from signup_sync.postgres.statements import Connection
from signup_sync.postgres.statements import statement as own_statement

Parameters = Mapping[str, object]

# Psycopg sends `$1` for a name and `%` for two of them (psycopg documentation, "Passing parameters to SQL queries").
_placeholders = re.compile(r"%(?:\(([^)]+)\).|.)").finditer


def execute(connection: Connection, statement: LiteralString, parameters: Parameters | None = None) -> list[TupleRow]:
    """Run a statement in a transaction, and return its rows if it has any (RETURNING).

    In a transaction that is open already it is a part of that. Raises `psycopg.Error`.
    """
    with _explained(statement, parameters), connection.transaction():
        cursor = connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def query_object_json(
    connection: Connection, statement: LiteralString, parameters: Parameters | None = None
) -> bytes | None:
    """Return the one row as a JSON object in UTF-8, with the columns' names as its keys; None if there is no row.

    Raises `psycopg.Error`, and `ValueError` if there are more rows.
    """
    rows = _query(connection, "object_json", statement, parameters)
    if len(rows) > 1:
        raise ValueError("the statement gives more than one row")
    return rows[0] if rows else None


def query_array_json(connection: Connection, statement: LiteralString, parameters: Parameters | None = None) -> bytes:
    """Return all rows as a JSON array of objects in UTF-8, in the statement's order.

    Raises `psycopg.Error`.
    """
    return _query(connection, "array_json", statement, parameters)[0]


def explain(error: psycopg.Error, statement: str, parameters: Parameters | None = None, *, skipped: int = 0) -> str:
    """For a developer: SQLSTATE, what is wrong, and the statement with a mark at the position, without any value.

    `skipped` is how many characters were sent before the statement.
    """
    lines = [describe(error)]
    if error.diag.message_hint and fault_of(error) is not Fault.MESSAGE:
        lines.append(f"HINT: {error.diag.message_hint}")
    position = _position(error, statement, skipped, converted=parameters is not None)
    return "\n".join([*lines, *_marked(statement, position)])


def _query(
    connection: Connection, wrapping: str, statement: LiteralString, parameters: Parameters | None
) -> list[bytes]:
    before, _, _ = own_statement(wrapping).partition("{statement}")
    wrapped = sql.SQL(own_statement(wrapping)).format(statement=sql.SQL(statement))
    with _explained(statement, parameters, skipped=len(before)):
        cursor = connection.execute(wrapped, parameters, binary=True)  # a bytea, which as text is twice as long
        return [bytes(row[0]) for row in cursor.fetchmany(2)]


@contextmanager
def _explained(statement: str, parameters: Parameters | None, *, skipped: int = 0) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        error.add_note(explain(error, statement, parameters, skipped=skipped))
        raise


def _position(error: psycopg.Error, statement: str, skipped: int, *, converted: bool) -> int | None:
    """Where in the statement the error is, from 0; None if it is nowhere, or in what was laid around it."""
    if error.diag.statement_position is None:
        return None
    position = int(error.diag.statement_position) - 1 - skipped
    if converted:
        position = _before_conversion(statement, position)
    return position if 0 <= position <= len(statement) else None


def _before_conversion(statement: str, position: int) -> int:
    """A position in what was sent as one in what was written."""
    numbers: dict[str, int] = {}
    for placeholder in _placeholders(statement):
        name = placeholder[1]
        sent = f"${numbers.setdefault(name, len(numbers) + 1)}" if name else "%"
        if position <= placeholder.start():
            break
        position += len(placeholder[0]) - len(sent)
    return position


def _marked(statement: str, position: int | None) -> Iterator[str]:
    if position is not None:
        before = statement[:position]
        line, column = before.count("\n") + 1, position - before.rfind("\n")
        yield f"line {line}, column {column}:"
    for number, text in enumerate(statement.splitlines(), start=1):
        yield f"  {text}"
        if position is not None and number == line:
            # As wide as what is above it, tabs included.
            yield "  " + "".join("\t" if character == "\t" else " " for character in text[: column - 1]) + "^"
