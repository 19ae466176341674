"""`signup-sync db grant-worker`, `grant-reader` and `grant-reconciler`."""

import click

from db.admin import roles
from db.credentials import read_secret
from worker.cli.environment_option import environment_option
from worker.cli.parameters import text
from worker.cli.refused import Refused
from worker.settings import Environment, OwnerSettings, WorkerRoleSettings


@click.command
@environment_option
@click.option("--role", type=text, default="signup_sync_worker", show_default=True, help="The role's name.")
@click.option("--iam", is_flag=True, help="The role logs in by RDS' IAM authentication, and has no password.")
def grant_worker(environment: Environment, role: str, iam: bool) -> None:
    """Make the worker's database role, and grant it what the worker needs and nothing else.

    Run it as the tables' owner, after `db migrate`. If WORKER_SECRET_ARN is set, a new role gets the password of that
    secret, and so does one that has logged in by IAM before; any other role that is there keeps the one it has. With
    --iam the role's password is gone. Safe to run again.

    \b
    Examples:
      signup-sync db grant-worker
      WORKER_SECRET_ARN=arn:aws:secretsmanager:... signup-sync db grant-worker
    """
    settings = WorkerRoleSettings.of(environment)
    password = read_secret(settings.worker_secret_arn)["password"] if settings.worker_secret_arn and not iam else None
    try:
        made = roles.grant_worker(
            settings.conninfo,
            role,
            schema=settings.database_schema,
            password=password,
            iam=iam,
            owner=settings.database_owner,
        )
    except (roles.NoSuchRole, roles.StillMember) as error:
        raise Refused(str(error)) from None
    click.echo(f"{'made' if made else 'updated'} the role {role}")


@click.command
@environment_option
@click.argument("role", type=text)
def grant_reader(environment: Environment, role: str) -> None:
    """Let an application's database role read the users and the activities, and nothing else.

    It is a role that is there already, and keeps what it may do besides. It may read all columns but the e-mail
    addresses; who needs those is granted them by hand (GRANT SELECT (email)). Run it as the tables' owner, after
    `db migrate`. Safe to run again.

    \b
    Example:
      signup-sync db grant-reader app
    """
    settings = OwnerSettings.of(environment)
    try:
        roles.grant_reader(settings.conninfo, role, schema=settings.database_schema, owner=settings.database_owner)
    except roles.NoSuchRole as error:
        raise Refused(str(error)) from None
    click.echo(f"{role} may read the users and activities")


@click.command
@environment_option
@click.option("--role", type=text, default="signup_sync_reconciler", show_default=True, help="The role's name.")
@click.option("--iam", is_flag=True, help="The role logs in by RDS' IAM authentication, and has no password.")
def grant_reconciler(environment: Environment, role: str, iam: bool) -> None:
    """Make a database role for `reconcile --changes`, and let it read what is compared, and nothing else.

    It may read the profiles of users, e-mail addresses among them, which the worker's role may not, and write nothing.
    Run it as the tables' owner, after `db migrate`. With --iam the role's password is gone; without, it has none until
    you set one. Safe to run again.

    \b
    Examples:
      signup-sync db grant-reconciler
      signup-sync db grant-reconciler --iam
    """
    settings = OwnerSettings.of(environment)
    try:
        made = roles.grant_reconciler(
            settings.conninfo, role, schema=settings.database_schema, iam=iam, owner=settings.database_owner
        )
    except roles.NoSuchRole as error:
        raise Refused(str(error)) from None
    click.echo(f"{'made' if made else 'updated'} the role {role}")
