"""`signup-sync feed`."""

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import click
import psycopg

from db.pool import connect
from signup_sync.postgres.errors import describe
from signup_sync.postgres.feed import PAGE_SIZE, Position, home_feed
from worker.cli.environment_option import environment_option
from worker.cli.refused import Refused
from worker.cli.terminal import Table
from worker.settings import DatabaseSettings, Environment

_COLUMNS = (("TIME", 16), ("HANDLE", 16), ("NAME", 18), ("REPLIES", 7), ("MESSAGE", 0))


def _position(text: str) -> Position:
    try:
        return Position.parse(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a position that `signup-sync feed` has printed") from None


@click.command
@environment_option
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=PAGE_SIZE, show_default=True, metavar="N", help="At most so many."
)
@click.option("--before", type=_position, metavar="POSITION", help="What is older; each page ends with the next one's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def feed(environment: Environment, limit: int, before: Position | None, as_json: bool) -> None:
    """Show the home feed: what was posted, newest first, without what has expired. Times are UTC.

    It is read as a backend reads it, with `signup_sync.postgres.feed.home_feed`.

    \b
    Examples:
      signup-sync feed
      signup-sync feed --limit 100 --json | jq -r .handle
    """
    settings = DatabaseSettings.of(environment)
    with closing(connect(settings.conninfo)) as connection:
        try:
            page = json.loads(home_feed(connection, before=before, limit=limit, schema=settings.database_schema))
        except psycopg.errors.UndefinedTable as error:
            raise Refused(f"database: {describe(error)}; run signup-sync db migrate") from error
    _show(page, as_json=as_json)
    if not page:
        click.echo("nothing was posted" if before is None else "nothing is older", err=True)
    if len(page) == limit:
        click.echo(f"older: --before {Position.of(page[-1])}", err=True)


def _show(page: list[dict[str, Any]], *, as_json: bool) -> None:
    table = Table(_COLUMNS)
    for activity in page:
        if as_json:
            click.echo(json.dumps(activity))
        else:
            table.row(*_row(activity))


def _row(activity: dict[str, Any]) -> tuple[str, ...]:
    created_at = datetime.fromisoformat(activity["created_at"]).astimezone(UTC)
    message = " ".join(activity["message"].split())
    handle, name = activity["handle"] or "", activity["display_name"] or "deleted user"
    replies = str(activity["replies_count"])
    return f"{created_at:%Y-%m-%d %H:%M}", handle, name, replies, message
