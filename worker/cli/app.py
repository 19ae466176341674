"""The command line, `signup-sync`: which commands there are, and how they say what went wrong.

Each command is a module of `worker/cli/commands`, imported when it is used, so that none waits for what others need.
"""

from importlib import import_module

import click
import psycopg

from signup_sync.postgres.errors import describe
from signup_sync.sqs import SqsError
from worker.cli.refused import Refused
from worker.settings import InvalidSettings, adopt_region

# Command: its module in `worker.cli.commands`, where it is found under its own name (`-` becomes `_`).
_MODULES = {
    "worker": "run",
    "health": "health",
    "db": "database",
    "dlq": "dlq",
    "publish": "publish",
    "reconcile": "reconcile",
    "feed": "feed",
    "console": "console",
    "rds": "rds",
    "schema": "schema",
    "completion": "completion",
}


class Commands(click.Group):
    """The commands, imported when they are asked for; what they raise becomes one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _MODULES:
            return None
        module = import_module(f"worker.cli.commands.{_MODULES[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (InvalidSettings, SqsError) as error:
            raise Refused(str(error)) from error
        except psycopg.Error as error:
            raise Refused(f"database: {describe(error)}") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="signup-sync", message="%(version)s")
def cli() -> None:
    """Cognito sign-ups into Postgres by way of SQS.

    Settings come from the environment: QUEUE_URL, DLQ_URL, DATABASE_URL and the standard AWS variables, such as
    AWS_REGION and AWS_PROFILE. Each command says what it needs.

    \b
    Examples:
      signup-sync db migrate        create or update the tables
      signup-sync worker            run until stopped
      signup-sync worker --once     run until the queue is empty
    """
    adopt_region()
