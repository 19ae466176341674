"""`signup-sync schema`."""

import json

import click

from signup_sync.events import json_schema


@click.command
def schema() -> None:
    """Print the event contract as JSON Schema.

    \b
    Example:
      signup-sync schema > events.schema.json
    """
    click.echo(json.dumps(json_schema(), indent=2))
