"""`signup-sync db grant-worker`."""

import click

from db.admin.roles import grant_worker as grant
from db.credentials import read_secret
from worker.cli.environment_option import environment_option
from worker.cli.parameters import text
from worker.settings import Environment, WorkerRoleSettings


@click.command
@environment_option
@click.option("--role", type=text, default="signup_sync_worker", show_default=True, help="The role's name.")
@click.option("--iam", is_flag=True, help="The role logs in by RDS' IAM authentication, and has no password.")
def grant_worker(environment: Environment, role: str, iam: bool) -> None:
    """Make the worker's database role, and grant it what the worker needs and nothing else.

    Run it as the tables' owner, after `db migrate`. If WORKER_SECRET_ARN is set, a new role gets the password of that
    secret; a role that is there keeps the one it has. Safe to run again.

    \b
    Examples:
      signup-sync db grant-worker
      WORKER_SECRET_ARN=arn:aws:secretsmanager:... signup-sync db grant-worker
    """
    settings = WorkerRoleSettings.of(environment)
    password = read_secret(settings.worker_secret_arn)["password"] if settings.worker_secret_arn and not iam else None
    made = grant(settings.conninfo, role, schema=settings.database_schema, password=password, iam=iam)
    click.echo(f"{'made' if made else 'updated'} the role {role}")
