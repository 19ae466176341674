"""`signup-sync db migrate`, `status` and `dump-schema`."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from signup_sync.postgres.statements import DEFAULT_SCHEMA
from worker.cli.commands.database.clients import replace_with
from worker.cli.environment_option import environment_option
from worker.cli.refused import Refused
from worker.settings import DatabaseSettings, Environment, OwnerSettings

# What differs between the environments, which the schema does not: roles.
_PG_DUMP = ("pg_dump", "--schema-only", "--no-owner", "--no-privileges")


@click.command
@environment_option
def migrate(environment: Environment) -> None:
    """Create the tables, or bring them up to date.

    They are in the schema DATABASE_SCHEMA, which is made if need be. Where something of somebody else's has their
    names it says so, and changes nothing. Safe to run twice, or by two tasks at once: the second waits, and finds
    nothing to do. It is all or nothing.

    With DATABASE_OWNER the tables are that role's, which is made if need be: who logs in makes it and hands over what
    is there already, and migrates as it. The grant commands need it too.

    \b
    Examples:
      DATABASE_URL=postgresql://localhost/app signup-sync db migrate
      signup-sync db migrate --env prod
    """
    apply_migrations(OwnerSettings.of(environment))


@click.command
@environment_option
def status(environment: Environment) -> None:
    """Show which migrations the database has. Exit status 1 if one is missing.

    \b
    Example:
      signup-sync db status
    """
    from db import migrations  # noqa: PLC0415 (SQLAlchemy, for which no other command need wait)

    settings = DatabaseSettings.of(environment)
    with _refusals():
        revisions = migrations.status(settings.conninfo, settings.database_schema)
    for revision in revisions:
        click.echo(f"{'applied' if revision.applied else 'pending'} {revision.number} {revision.subject}")
    if not all(revision.applied for revision in revisions):
        raise SystemExit(1)


@click.command
@environment_option
@click.argument("pg_dump_options", nargs=-1)
def dump_schema(environment: Environment, pg_dump_options: tuple[str, ...]) -> None:
    """Print the tables, indexes and functions as SQL, without any row.

    It is what the database really has, as pg_dump sees it; of a DATABASE_SCHEMA of our own only what is in it. pg_dump
    must be installed, and be no older than the server.
    What stands behind -- goes to pg_dump: with --restrict-key, which it has since its release 17.6, two dumps of the
    same schema are equal.

    \b
    Examples:
      signup-sync db dump-schema > schema.sql
      signup-sync db dump-schema --env prod -- --restrict-key=schema > prod.sql
    """
    settings = DatabaseSettings.of(environment)
    replace_with((*_PG_DUMP, *_of_schema(settings.database_schema), *pg_dump_options), settings.conninfo)


def apply_migrations(settings: OwnerSettings) -> None:
    """And say which. Raises `psycopg.Error` and `Refused`."""
    from db import migrations  # noqa: PLC0415 (as above)

    with _refusals():
        applied = migrations.migrate(settings.conninfo, settings.database_schema, owner=settings.database_owner)
    for revision in applied:
        click.echo(f"applied {revision.number} {revision.subject}")
    if not applied:
        click.echo("up to date")


@contextmanager
def _refusals() -> Iterator[None]:
    from db.migrations import MigrationRefused  # noqa: PLC0415 (as above)

    try:
        yield
    except MigrationRefused as error:
        raise Refused(str(error)) from error


def _of_schema(schema: str) -> tuple[str, ...]:
    # The option takes a pattern, in which quotes make every character stand for itself (PostgreSQL documentation,
    # "pg_dump", --schema; "psql", "Patterns").
    return () if schema == DEFAULT_SCHEMA else ("--schema", f'"{schema}"')
