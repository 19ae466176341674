"""`signup-sync db distribute`."""

from contextlib import closing

import click
import psycopg

from db.admin.distribution import Distribution, NotDistributable, find_distribution
from db.admin.distribution import distribute as distribute_tables
from db.connection import Connection
from db.pool import connect
from signup_sync.postgres.errors import describe
from worker.cli.environment_option import environment_option
from worker.cli.refused import Refused
from worker.settings import DatabaseSettings, Environment


@click.command
@environment_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def distribute(environment: Environment, yes: bool) -> None:
    """Spread the tables over the nodes of Citus: users whole on each, activities by uuid.

    Run it as the tables' owner, on the coordinator, after `db migrate`, on empty or on filled tables. It says what it
    will do, and asks. It is all or nothing, and safe to run again. Workers may run on: they wait for the tables. Those
    that were started before Citus was installed in the database have to be started again.

    Activities are in as many parts as Citus' setting citus.shard_count says.

    \b
    Examples:
      signup-sync db distribute
      PGOPTIONS='-c citus.shard_count=8' signup-sync db distribute --yes
    """
    settings = DatabaseSettings.of(environment)
    with closing(connect(settings.conninfo, settings.database_schema)) as connection:
        found = _find(connection)
        if found.is_done:
            click.echo(f"distributed already, over {_nodes(found)}")
            return
        click.echo(_plan(found), err=True)
        if not (yes or click.confirm("Distribute?", err=True)):
            raise Refused("nothing was changed")
        distribute_tables(connection)
        click.echo(f"distributed over {_nodes(found)}")


def _find(connection: Connection) -> Distribution:
    try:
        return find_distribution(connection)
    except NotDistributable as error:
        raise Refused(str(error)) from None
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise Refused(f"database: {describe(error)}; run signup-sync db migrate") from None


def _plan(found: Distribution) -> str:
    return (
        f"users ({found.users_size}) will be whole on each of {_nodes(found)}\n"
        f"activities ({found.activities_size}) will be spread over them by uuid, in {found.shards} parts;\n"
        "  the foreign key from a reply to its parent goes\n"
        "Until it is done nobody reads or writes them."
    )


def _nodes(found: Distribution) -> str:
    return f"{found.nodes} node{'s' if found.nodes > 1 else ''}"
