"""The worker's and the operators' statements, each in a file of its own in `db/sql`."""

from pathlib import Path
from typing import LiteralString

from signup_sync.postgres import statements

_FOLDER = Path(__file__).parent / "sql"


def statement(name: str) -> LiteralString:
    """The text of `db/sql/<name>.sql`, with psycopg's named placeholders."""
    return statements.statement(name, _FOLDER)
