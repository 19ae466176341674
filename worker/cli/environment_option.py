"""Option `--env`: which environment a command is about."""

from typing import get_args

import click

from worker.settings import Environment

environment_option = click.option(
    "--env",
    "environment",
    type=click.Choice(get_args(Environment)),
    default="dev",
    show_default=True,
    help="prod reads PROD_DATABASE_URL instead of DATABASE_URL, and so on.",
)
