"""`make demo`, or `python -m demo`; and what one that is left running can be asked for."""

import sys
from pathlib import Path

import click

from demo import control, interrupts
from worker.cli.refused import Refused


@click.group(invoke_without_command=True)
@click.option("--keep", is_flag=True, help="Leave it running at the end, until Ctrl-C, and say how to play with it.")
@click.pass_context
def main(ctx: click.Context, keep: bool) -> None:
    """Show the whole system at work, on an embedded Postgres and a local SQS.

    People sign up, activities are published, the database goes away and comes back. All of it is stopped and removed
    at the end, however it ends.

    The commands are for a demo that is left running. They need its settings in your shell; it says how.

    \b
    Examples:
      make demo
      make demo KEEP=1
      python -m demo stop-database
    """
    if ctx.invoked_subcommand is None:
        _run(keep=keep)


def _run(*, keep: bool) -> None:
    interrupts.install()
    from demo.demo import DemoFailed, run  # noqa: PLC0415 (which takes a while, and Ctrl-C may come in it)

    try:
        run(keep=keep)
    except DemoFailed as error:
        sys.exit(f"The demo failed: {error}")


def _known(_ctx: click.Context, _parameter: click.Parameter, directory: Path | None) -> Path:
    if directory is None:
        raise Refused("SIGNUP_SYNC_DEMO is not set: read the settings of a demo into your shell (make demo KEEP=1)")
    return directory


_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path),
    envvar="SIGNUP_SYNC_DEMO",
    callback=_known,
    help="That of the demo; default: SIGNUP_SYNC_DEMO, which is one of its settings.",
)


@main.command(control.STOP_DATABASE)
@_directory
def stop_database(directory: Path) -> None:
    """Stop the demo's Postgres. Its data stays.

    \b
    Example:
      python -m demo stop-database
    """
    control.ask(directory, control.STOP_DATABASE)
    click.echo("Postgres is stopped.")


@main.command(control.START_DATABASE)
@_directory
def start_database(directory: Path) -> None:
    """Start the demo's Postgres again.

    \b
    Example:
      python -m demo start-database
    """
    control.ask(directory, control.START_DATABASE)
    click.echo("Postgres is back.")


@main.command(control.SEND_BROKEN)
@_directory
def send_broken(directory: Path) -> None:
    """Send an activity that will be a dead letter.

    Its "message" is misspelt; no publisher's checks would let it pass.

    \b
    Example:
      python -m demo send-broken
    """
    control.ask(directory, control.SEND_BROKEN)
    click.echo("It is in the events queue.")


if __name__ == "__main__":
    main(prog_name="python -m demo")
