"""`signup-sync db`."""

import click

from db import migrations
from worker.settings import DatabaseSettings


@click.group
def db() -> None:
    """Look after the database that DATABASE_URL names."""


@db.command
def migrate() -> None:
    """Create the tables, or bring them up to date.

    Safe to run twice, or by two tasks at once: the second waits, and finds nothing to do. It is all or nothing.

    \b
    Example:
      DATABASE_URL=postgresql://localhost/app signup-sync db migrate
    """
    applied = migrations.migrate(DatabaseSettings.from_environment().database_url)
    for revision in applied:
        click.echo(f"applied {revision.number} {revision.subject}")
    if not applied:
        click.echo("up to date")


@db.command
def status() -> None:
    """Show which migrations the database has. Exit status 1 if one is missing.

    \b
    Example:
      signup-sync db status
    """
    revisions = migrations.status(DatabaseSettings.from_environment().database_url)
    for revision in revisions:
        click.echo(f"{'applied' if revision.applied else 'pending'} {revision.number} {revision.subject}")
    if not all(revision.applied for revision in revisions):
        raise SystemExit(1)
