"""The schema's history, applied by Alembic; each revision is an SQL file beside a short Python one.

There are no downgrades: what a revision did wrong, the next one mends. A worker meets a schema newer than itself
during every deployment, so a revision must leave the statements of the version before it working.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from db.credentials import Conninfo, resolved

_FOLDER = Path(__file__).parent

# Any number will do, as long as every migration of this schema takes the same one.
_ADVISORY_LOCK = 7_368_679_553


@dataclass(frozen=True)
class Revision:
    """One step of the schema: its number, what it is about, and whether the database has it."""

    number: str
    subject: str
    applied: bool


def status(database_url: Conninfo) -> list[Revision]:
    """Return all revisions, oldest first.

    Raises `psycopg.Error` when the database cannot be asked.
    """
    with _connection(database_url) as connection:
        return _revisions(connection)


def migrate(database_url: Conninfo) -> list[Revision]:
    """Bring the schema up to date; return the revisions that were applied, oldest first (none if it was up to date).

    All happens in one transaction under an advisory lock: of two that run at once, the second waits and finds nothing
    to do, and one that fails or is killed leaves the schema as it was (PostgreSQL 18 documentation, 13.3.5 "Advisory
    Locks").

    Raises `psycopg.Error` when the database cannot be reached or refuses a statement.
    """
    with _connection(database_url) as connection:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_ADVISORY_LOCK,))
        pending = {revision.number for revision in _revisions(connection) if not revision.applied}
        command.upgrade(_config(connection), "head")
        return [revision for revision in _revisions(connection) if revision.number in pending]


def run_sql(filename: str) -> None:
    """Run one of the SQL files in `versions`, as it is: a percent sign or a colon in it has no special meaning."""
    statements = (_FOLDER / "versions" / filename).read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})


def _revisions(connection: Connection) -> list[Revision]:
    script = ScriptDirectory.from_config(_config(connection))
    heads = MigrationContext.configure(connection).get_current_heads()
    applied = {step.revision for step in script.iterate_revisions(heads, "base")} if heads else set()
    newest_first = script.walk_revisions()
    return [Revision(step.revision, step.doc, step.revision in applied) for step in newest_first][::-1]


def _config(connection: Connection) -> Config:
    config = Config()
    # Alembic expands percent signs in option values.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _connection(database_url: Conninfo) -> Iterator[Connection]:
    """A connection in a transaction that commits at the end; errors come out as psycopg's own."""
    # SQLAlchemy's URLs are not libpq's: psycopg reads the URL, so that every connection parameter works.
    url = resolved(database_url)
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise error.orig from None
        raise
