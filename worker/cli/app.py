"""The command line, `signup-sync`: which commands there are, and how they say what went wrong.

Each command is a module of `worker/cli/commands`, imported when it is used, so that none waits for what others need.
Here is what stands in `signup-sync --help`: it comes at once, because it imports nothing else.
"""

import gc
from importlib import import_module

import click

from worker.cli.refused import Refused
from worker.environment import adopt_region

# Command: its module in `worker.cli.commands`, where it is found under its own name (`-` becomes `_`); what it does.
_COMMANDS = {
    "worker": ("run", "Write what is in the events queue into the database."),
    "health": ("health", "Say whether the worker on this machine is alive."),
    "pause": ("pause", "Pause all workers: none receives any more."),
    "resume": ("pause", "Let all workers go on that were paused."),
    "db": ("database", "Look after the database."),
    "dlq": ("dlq", "Look at dead letters, mend them, and send them back."),
    "publish": ("publish", "Put events into the events queue."),
    "reconcile": ("reconcile", "Enqueue the users of a Cognito pool who have no row."),
    "erase": ("erase", "Erase what is known of a person, for good."),
    "feed": ("feed", "Show the home feed: what was posted, newest first."),
    "console": ("console", "Serve a web page for operators."),
    "console-token": ("console_token", "Make a token with which somebody logs in to the console."),
    "rds": ("rds", "Stop and start the RDS instance, and let yourself in."),
    "schema": ("schema", "Print the event contract as JSON Schema."),
    "completion": ("completion", "Print a script that completes commands in your shell."),
}


class Commands(click.Group):
    """The commands, imported when they are asked for; what they raise becomes one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"worker.cli.commands.{_COMMANDS[cmd_name][0]}")
        if not gc.isenabled():
            gc.freeze()  # what is imported stays, and need not be looked at again and again
            gc.enable()
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, which suggests only commands that are there already."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=_COMMANDS, ctx=ctx) from None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except Exception as error:
            line = _in_one_line(error)
            if line is None:
                raise
            raise Refused(line) from error


def _in_one_line(error: Exception) -> str | None:
    """What is told to a person; None for what is no mistake of theirs, and nothing that is away."""
    import psycopg  # noqa: PLC0415 (--help would wait for it, and for what follows)

    from signup_sync.postgres.errors import describe  # noqa: PLC0415
    from signup_sync.sqs import SqsError  # noqa: PLC0415
    from worker.settings import InvalidSettings  # noqa: PLC0415

    if isinstance(error, InvalidSettings | SqsError):
        return str(error)
    return f"database: {describe(error)}" if isinstance(error, psycopg.Error) else None


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
