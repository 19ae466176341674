"""The worker's and the operators' statements, each in a file of its own in `db/sql`."""

from functools import cache
from pathlib import Path
from typing import LiteralString

from signup_sync.postgres import statements

_FOLDER = Path(__file__).parent / "sql"


def statement(name: str) -> LiteralString:
    """The text of `db/sql/<name>.sql`, with psycopg's named placeholders."""
    return statements.statement(name, _FOLDER)


@cache
def qualified(name: str, schema: str) -> LiteralString:
    """The same for a statement on our tables, which are in that schema: put together once, and not for each batch."""
    return statements.qualified(name, schema, _FOLDER)
