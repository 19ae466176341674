"""The schema's history, applied by Alembic; each revision is an SQL file beside a short Python one.

There are no downgrades: what a revision did wrong, the next one mends. A worker meets a schema newer than itself
during every deployment, so a revision must leave the statements of the version before it working.

A revision names no schema: it runs with that of the installation as its search_path. What it makes must not depend on
the search_path of those who use it later.
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
from psycopg import sql
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from db.credentials import Conninfo, resolved
from db.migrations.owner_role import become_owner
from db.migrations.ownership import MigrationRefused, check_ownership, not_permitted, taken
from db.statements import qualified, statement
from signup_sync.postgres.statements import DEFAULT_SCHEMA

__all__ = ["MigrationRefused", "Revision", "migrate", "run_sql", "status"]

_FOLDER = Path(__file__).parent

# Any number will do, as long as every migration of this schema takes the same one.
_ADVISORY_LOCK = 7_368_679_553


@dataclass(frozen=True)
class Revision:
    """One step of the schema: its number, what it is about, and whether the database has it."""

    number: str
    subject: str
    applied: bool


def status(database_url: Conninfo, schema: str = DEFAULT_SCHEMA) -> list[Revision]:
    """Return all revisions, oldest first.

    Raises `psycopg.Error` when the database cannot be asked, and `MigrationRefused` when somebody else's tables are
    there.
    """
    with _connection(database_url) as connection:
        check_ownership(connection, schema)
        return _revisions(connection, schema)


def migrate(database_url: Conninfo, schema: str = DEFAULT_SCHEMA, *, owner: str | None = None) -> list[Revision]:
    """Bring the schema up to date, or make it; return the revisions that were applied, oldest first (none if it was up
    to date).

    All happens in one transaction under an advisory lock: of two that run at once, the second waits and finds nothing
    to do, and one that fails or is killed leaves the schema as it was (PostgreSQL 18 documentation, 13.3.5 "Advisory
    Locks").

    With an `owner`, a role, all that is ours becomes that role's: `db.migrations.owner_role`.

    Raises `MigrationRefused` when something of somebody else's is in the way or a privilege is missing, and
    `psycopg.Error` when the database cannot be reached or refuses a statement for another reason.
    """
    try:
        with _connection(database_url) as connection:
            return _migrate(connection, schema, owner)
    except psycopg.errors.InsufficientPrivilege as error:
        raise not_permitted(error, schema, owner) from error
    except (psycopg.errors.DuplicateTable, psycopg.errors.DuplicateFunction, psycopg.errors.DuplicateObject) as error:
        raise taken(error, schema) from error


def run_sql(filename: str) -> None:
    """Run one of the SQL files in `versions`, as it is: a percent sign or a colon in it has no special meaning."""
    statements = (_FOLDER / "versions" / filename).read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(statements, execution_options={"no_parameters": True})


def _migrate(connection: Connection, schema: str, owner: str | None) -> list[Revision]:
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_ADVISORY_LOCK,))
    check_ownership(connection, schema)
    if owner is not None:
        become_owner(connection, schema, owner)
    # A role without CREATE on the database may not even say IF NOT EXISTS of a schema that is there.
    elif not connection.exec_driver_sql(statement("schema_exists"), {"schema": schema}).scalar():
        connection.exec_driver_sql(qualified("create_schema", schema))
    search_path = sql.Identifier(schema).as_string(None)
    connection.exec_driver_sql(statement("set_search_path"), {"search_path": search_path})
    pending = {revision.number for revision in _revisions(connection, schema) if not revision.applied}
    command.upgrade(_config(connection, schema), "head")
    return [revision for revision in _revisions(connection, schema) if revision.number in pending]


def _revisions(connection: Connection, schema: str) -> list[Revision]:
    script = ScriptDirectory.from_config(_config(connection, schema))
    heads = MigrationContext.configure(connection, opts={"version_table_schema": schema}).get_current_heads()
    newest_first = list(script.walk_revisions())
    unknown = set(heads) - {step.revision for step in newest_first}
    if unknown:
        raise MigrationRefused(
            f"the schema {schema} is at revision {min(unknown)}, which this version of signup-sync does not know: "
            "use the version that has migrated it, or a later one"
        )
    applied = {step.revision for step in script.iterate_revisions(heads, "base")} if heads else set()
    return [Revision(step.revision, step.doc, step.revision in applied) for step in newest_first][::-1]


def _config(connection: Connection, schema: str) -> Config:
    config = Config()
    # Alembic expands percent signs in option values.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
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
