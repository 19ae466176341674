"""`signup-sync db create`, `drop`, `seed` and `setup`."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import click
import psycopg

from db.admin import databases
from db.admin.seed import seed as load_samples
from db.connection import Connection
from db.pool import connect as connect_to
from signup_sync.postgres.errors import describe
from worker.cli.commands.database.schema import apply_migrations
from worker.cli.environment_option import environment_option
from worker.cli.refused import Refused
from worker.settings import DatabaseSettings, Environment, OwnerSettings, name_in
from worker.text import printable

_force = click.option("--force", is_flag=True, help="End the sessions of those who are connected to it.")
_yes = click.option("--yes", is_flag=True, help="Do not ask, unless its name has to be typed.")


@click.command
@environment_option
def create(environment: Environment) -> None:
    """Create the database that the URL names, empty; `migrate` makes the tables. Does nothing if it is there.

    \b
    Example:
      DATABASE_URL=postgresql://localhost/app signup-sync db create
    """
    with _server(environment) as (connection, name, _):
        if databases.exists(connection, name):
            click.echo(f"{printable(name)} is there already")
        else:
            _create(connection, name)


@click.command
@environment_option
@_force
@_yes
def drop(environment: Environment, force: bool, yes: bool) -> None:
    """Drop the database, and all that is in it.

    It asks first. In production, and on any server that is not this machine, the database's name has to be typed.

    \b
    Examples:
      signup-sync db drop
      signup-sync db drop --force --yes
    """
    with _server(environment) as (connection, name, _):
        if not databases.exists(connection, name):
            click.echo(f"there is no database {printable(name)}")
            return
        _confirm_loss(connection, name, environment, yes=yes)
        _drop(connection, name, force=force)


@click.command
@environment_option
def seed(environment: Environment) -> None:
    """Load sample data: users, and activities with replies, of which some expire.

    Safe to run twice: what is there stays as it is. In production the database's name has to be typed, because
    everybody there would see it.

    \b
    Example:
      signup-sync db seed
    """
    settings = DatabaseSettings.of(environment)
    with closing(connect_to(settings.conninfo, settings.database_schema)) as connection:
        if environment == "prod":
            _have_typed("This is production. To load sample data into the database", connection.info.dbname)
        _seed(connection)


@click.command
@environment_option
@_force
@_yes
def setup(environment: Environment, force: bool, yes: bool) -> None:
    """Start afresh: drop the database if it is there, create it, migrate it, load the sample data.

    It asks as `drop` does.

    \b
    Examples:
      DATABASE_URL=postgresql://localhost/app signup-sync db setup
      signup-sync db setup --force --yes
    """
    with _server(environment) as (connection, name, settings):
        exists = databases.exists(connection, name)
        if exists or environment == "prod":
            _confirm_loss(connection, name, environment, yes=yes)
        if exists:
            _drop(connection, name, force=force)
        _create(connection, name)
    apply_migrations(settings)
    with closing(connect_to(settings.conninfo, settings.database_schema)) as connection:
        _seed(connection)


@contextmanager
def _server(environment: Environment) -> Iterator[tuple[Connection, str, OwnerSettings]]:
    """A connection to the server, the name of the database, and its settings."""
    settings = OwnerSettings.of(environment)
    name = databases.name_in(settings.conninfo)
    if name is None:
        raise Refused(f"{name_in(environment, 'DATABASE_URL')} names no database: it should end with /NAME")
    with closing(databases.connect_to_server(settings.conninfo)) as connection:
        yield connection, name, settings


def _create(connection: Connection, name: str) -> None:
    databases.create(connection, name)
    click.echo(f"created {printable(name)}")


def _drop(connection: Connection, name: str, *, force: bool) -> None:
    try:
        databases.drop(connection, name, force=force)
    except psycopg.errors.ObjectInUse:
        raise Refused(
            f"somebody is connected to {printable(name)}: see signup-sync db sessions, or end them with --force"
        ) from None
    click.echo(f"dropped {printable(name)}")


def _seed(connection: Connection) -> None:
    try:
        loaded = load_samples(connection)
    except psycopg.errors.UndefinedTable as error:
        raise Refused(f"database: {describe(error)}; run signup-sync db migrate") from error
    click.echo(f"loaded {loaded.users} users and {loaded.activities} activities")


def _confirm_loss(connection: Connection, name: str, environment: Environment, *, yes: bool) -> None:
    """Raises `Refused` unless the database may be dropped."""
    if environment == "prod":
        _have_typed("This is production. To drop the database and all that is in it", name)
    elif not databases.is_local(connection):
        host = printable(connection.info.host)
        _have_typed(f"{host} is another machine. To drop the database and all that is in it", name)
    elif not (yes or click.confirm(f"Drop the database {printable(name)} and all that is in it?", err=True)):
        raise Refused("nothing was changed")


def _have_typed(text: str, name: str) -> None:
    """Raises `Refused` unless the database's name is given; a script can write it to standard input."""
    try:
        given = click.prompt(f"{text}, type its name ({printable(name)})", err=True)
    except click.Abort:
        click.echo(err=True)
        given = ""
    if given != name:
        raise Refused("that is not the database's name: nothing was changed")
