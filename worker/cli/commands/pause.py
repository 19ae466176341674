"""`signup-sync pause` and `signup-sync resume`."""

import getpass
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import click
import psycopg
import structlog

from db.connection import Connection
from db.pool import connect
from db.tables.worker_pause import (
    REASON_MAX_LENGTH,
    WHO_MAX_LENGTH,
    WorkerPause,
    clear_worker_pause,
    read_worker_pause,
    set_worker_pause,
)
from signup_sync.postgres.errors import describe
from worker.cli import logs
from worker.cli.environment_option import environment_option
from worker.cli.refused import Refused
from worker.settings import DatabaseSettings, Environment
from worker.text import pause_in_words, printable, timestamp

log = structlog.get_logger()


def _line(max_length: int) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """A callback that takes one line of printable text, at most so many characters."""

    def check(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
        if text is not None and not (0 < len(text.strip()) <= len(text) <= max_length and text.isprintable()):
            raise click.BadParameter(f"should be one line of 1 to {max_length} printable characters")
        return text

    return check


_who = click.option(
    "--who", callback=_line(WHO_MAX_LENGTH), metavar="NAME", help="Who you are; default: your login name."
)
_yes = click.option("--yes", is_flag=True, help="Do not ask.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.command
@environment_option
@click.option(
    "--why", required=True, callback=_line(REASON_MAX_LENGTH), metavar="TEXT", help="Why, in one line for all to see."
)
@_who
@_yes
@_json
def pause(environment: Environment, why: str, who: str | None, yes: bool, as_json: bool) -> None:
    """Pause all workers: within 5 seconds none receives any more, until signup-sync resume.

    Events wait in the queue meanwhile. What a worker has begun it commits, the rest goes back to the queue at once, and
    no event loses an attempt. The pause is kept in the database that DATABASE_URL names: it holds for every worker on
    it, and for those that start later. If they are paused already, it says by whom and why, and changes nothing.

    \b
    Examples:
      signup-sync pause --why "failover is tested"
      signup-sync pause --env prod --why "upgrade to Postgres 18" --who grace --yes --json
    """
    who = who or _login_name()
    with _database(environment) as connection:
        before = read_worker_pause(connection)
        if before is None:
            _ask(connection, "they receive nothing until signup-sync resume, and events wait in the queue", yes=yes)
        made = None if before else set_worker_pause(connection, who, why)
        there = made or before or read_worker_pause(connection)  # somebody else's, who was faster
    _record("pause", who, "done" if made else "paused_already", there)
    _tell(there, paused=there is not None, changed=made is not None, as_json=as_json)


@click.command
@environment_option
@_who
@_yes
@_json
def resume(environment: Environment, who: str | None, yes: bool, as_json: bool) -> None:
    """Let all workers go on that signup-sync pause has paused; within 5 seconds they do.

    It says who has paused them, since when and why. If they are not paused, it changes nothing.

    \b
    Examples:
      signup-sync resume
      signup-sync resume --env prod --yes
    """
    who = who or _login_name()
    with _database(environment) as connection:
        before = read_worker_pause(connection)
        if before is not None:
            _ask(connection, f"they were {pause_in_words(before)}; now they go on", yes=yes)
        ended = clear_worker_pause(connection)
    _record("resume", who, "done" if ended else "not_paused", ended)
    _tell(ended, paused=False, changed=ended is not None, as_json=as_json)


@contextmanager
def _database(environment: Environment) -> Iterator[Connection]:
    settings = DatabaseSettings.of(environment)
    with closing(connect(settings.conninfo, settings.database_schema)) as connection:
        try:
            yield connection
        except psycopg.errors.UndefinedTable as error:
            raise Refused(f"database: {describe(error)}; run signup-sync db migrate") from error


def _login_name() -> str:
    try:
        return getpass.getuser()[:WHO_MAX_LENGTH]
    except (OSError, KeyError, ImportError):  # before Python 3.13 not only OSError (its documentation, "getpass")
        raise Refused("you have no login name: say who you are with --who") from None


def _ask(connection: Connection, what: str, *, yes: bool) -> None:
    """Say what will be done. Raises `Refused` if it is not wanted."""
    info = connection.info
    click.echo(f"all workers of the database {printable(info.dbname)} at {printable(info.host)}: {what}", err=True)
    if not (yes or click.confirm("Go on?", err=True)):
        raise Refused("nothing was changed")


def _record(what: str, who: str, outcome: str, pause: WorkerPause | None) -> None:
    """In the form of the console's audit log, with the pause that is or was there."""
    logs.configure("info", "auto", stream=sys.stderr)
    log.info("audit", who=who, what=what, subject="workers", outcome=outcome, **_described(pause, "paused_by"))


def _tell(pause: WorkerPause | None, *, paused: bool, changed: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"paused": paused, "changed": changed, **_described(pause, "who")}))
    elif pause is None:
        click.echo("the workers are not paused")
    elif paused:
        click.echo(f"{'' if changed else 'nothing was changed: '}all workers are {pause_in_words(pause)}")
    else:
        click.echo("all workers go on")


def _described(pause: WorkerPause | None, who: str) -> dict[str, str]:
    if pause is None:
        return {}
    return {who: pause.who, "since": timestamp(pause.paused_at), "reason": pause.reason}
