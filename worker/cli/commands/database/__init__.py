"""`signup-sync db`."""

import click

from worker.cli.commands.database.clients import connect
from worker.cli.commands.database.distribution import distribute
from worker.cli.commands.database.lifecycle import create, drop, seed, setup
from worker.cli.commands.database.roles import grant_reader, grant_reconciler, grant_worker
from worker.cli.commands.database.schema import dump_schema, migrate, status
from worker.cli.commands.database.sessions import sessions


@click.group
def db() -> None:
    """Look after the database that DATABASE_URL names, or with --env prod that of PROD_DATABASE_URL.

    The password may be in the URL, in PGPASSWORD, in a secret (DATABASE_SECRET_ARN) or a token of IAM
    (DATABASE_IAM_AUTH). Production's settings are named the same with PROD_ before them, and its server must prove its
    name (sslmode=verify-full) unless the URL says otherwise.

    \b
    A developer's day:
      signup-sync db setup          from nothing to tables with sample data
      signup-sync db connect        psql
      signup-sync db sessions       who is connected, and who waits for whom
    """


for command in (create, drop, migrate, status, seed, setup, connect, sessions, dump_schema):
    db.add_command(command)
for command in (grant_worker, grant_reader, grant_reconciler, distribute):
    db.add_command(command)
