"""`signup-sync db connect`, and the other programs of Postgres that take over with our connection settings."""

import os
from collections.abc import Sequence
from typing import NoReturn

import click
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from db.credentials import Conninfo, resolved
from worker.cli.environment_option import environment_option
from worker.cli.refused import Refused
from worker.settings import DatabaseSettings, Environment, environment_with


@click.command
@environment_option
@click.argument("psql_options", nargs=-1)
def connect(environment: Environment, psql_options: tuple[str, ...]) -> None:
    """Open psql on the database.

    The password stays off the command line, where others could see it. Production's server must prove its name
    (sslmode=verify-full) unless PROD_DATABASE_URL says otherwise; for RDS add sslrootcert=FILE to it, with Amazon's
    certificate authorities. What stands behind -- goes to psql.

    \b
    Examples:
      signup-sync db connect
      signup-sync db connect --env prod -- --command '\\dt'
    """
    replace_with(("psql", *psql_options), DatabaseSettings.of(environment).conninfo)


def replace_with(command: Sequence[str], conninfo: Conninfo) -> NoReturn:
    """Let a program of Postgres take this process over: its signals and its exit status are ours.

    Raises `Refused` if it is not installed.
    """
    try:
        os.execvpe(command[0], list(command), environment_with(_variables(resolved(conninfo))))  # noqa: S606 (a shell is not wanted)
    except FileNotFoundError:
        raise Refused(
            f"{command[0]} is not installed: install PostgreSQL's client programs (Debian's postgresql-client)"
        ) from None


def _variables(conninfo: str) -> dict[str, str]:
    """The PG* variables for a conninfo (PostgreSQL documentation, 32.15 "Environment Variables").

    What has none, such as the settings of keepalives, has libpq's default.
    """
    names = {option.keyword.decode(): option.envvar for option in pq.Conninfo.get_defaults()}
    given = {names[keyword]: str(value) for keyword, value in conninfo_to_dict(conninfo).items()}
    return {name.decode(): value for name, value in given.items() if name is not None}
