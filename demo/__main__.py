"""`make demo`, or `python -m demo`."""

import sys

import click

from demo import interrupts


@click.command
@click.option("--keep", is_flag=True, help="Leave it running at the end, until Ctrl-C, and say how to connect.")
def main(keep: bool) -> None:
    """Show the whole system at work, on an embedded Postgres and a local SQS.

    People sign up, activities are published, the database goes away and comes back. All of it is stopped and removed
    at the end, however it ends.

    \b
    Examples:
      make demo
      make demo KEEP=1
    """
    interrupts.install()
    from demo.demo import DemoFailed, run  # noqa: PLC0415 (which takes a while, and Ctrl-C may come in it)

    try:
        run(keep=keep)
    except DemoFailed as error:
        sys.exit(f"The demo failed: {error}")


if __name__ == "__main__":
    main()
