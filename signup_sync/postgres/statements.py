"""The statements, each in a file of its own."""

import re
from functools import cache
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

Connection = psycopg.Connection[TupleRow]

DEFAULT_SCHEMA = "public"
"""Where the tables are, unless DATABASE_SCHEMA of the application says otherwise."""

_FOLDER = Path(__file__).parent / "sql"

# Fewer names than Postgres takes within quotes, which are 63 bytes of anything (PostgreSQL documentation, 4.1.1
# "Identifiers and Key Words"). Those of the system begin with pg_ (5.10.5 "The System Catalog Schema").
_is_schema = re.compile(r"(?!pg_|information_schema\Z)[A-Za-z_][A-Za-z0-9_-]{0,62}").fullmatch


def check_schema(name: str) -> str:
    """Return the name of a schema as it is. Raises `ValueError` if it is none that the statements take."""
    if not _is_schema(name):
        raise ValueError(
            "should be a schema's name: a letter or _, then letters, digits, _ and -, at most 63, and none of Postgres'"
        )
    return name


@cache
def statement(name: str, folder: Path = _FOLDER) -> LiteralString:
    """The text of `<name>.sql`, with psycopg's named placeholders; a backend has a `folder` of its own."""
    return (folder / f"{name}.sql").read_text(encoding="utf-8")


@cache
def qualified(name: str, schema: str, folder: Path = _FOLDER) -> LiteralString:
    """The same with the schema's name, in quotes, for each `{schema}`: it means our tables whatever the connection's
    search_path is, which behind a pooler is not ours to set.

    Raises `ValueError` as `check_schema` does.
    """
    identifier = sql.Identifier(check_schema(schema))
    return sql.SQL(statement(name, folder)).format(schema=identifier).as_string(None)
