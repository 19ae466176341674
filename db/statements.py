"""The statements, each in a file of its own in `db/sql`."""

from functools import cache
from pathlib import Path
from typing import LiteralString

_FOLDER = Path(__file__).parent / "sql"


@cache
def statement(name: str, folder: Path = _FOLDER) -> LiteralString:
    """The text of `db/sql/<name>.sql`, with psycopg's named placeholders; a backend has a `folder` of its own."""
    return (folder / f"{name}.sql").read_text(encoding="utf-8")
