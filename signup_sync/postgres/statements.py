"""The statements, each in a file of its own."""

from functools import cache
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg.rows import TupleRow

Connection = psycopg.Connection[TupleRow]

_FOLDER = Path(__file__).parent / "sql"


@cache
def statement(name: str, folder: Path = _FOLDER) -> LiteralString:
    """The text of `<name>.sql`, with psycopg's named placeholders; a backend has a `folder` of its own."""
    return (folder / f"{name}.sql").read_text(encoding="utf-8")
