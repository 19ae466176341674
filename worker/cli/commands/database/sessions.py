"""`signup-sync db sessions`."""

import json
from contextlib import closing
from dataclasses import asdict

import click

from db.admin.sessions import Session, end_session, list_sessions
from db.pool import connect
from worker.cli.environment_option import environment_option
from worker.cli.refused import Refused
from worker.cli.terminal import Table
from worker.settings import DatabaseSettings, Environment
from worker.text import duration

# What says who is in whose way fits on 80 characters.
_COLUMNS = (
    ("PID", 7),
    ("USER", 18),
    ("STATE", 24),
    ("WAITING FOR", 24),
    ("AGE", 6),
    ("APPLICATION", 16),
    ("CLIENT", 0),
)


@click.command
@environment_option
@click.option("--end", "pid", type=click.IntRange(min=1), metavar="PID", help="End this session.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def sessions(environment: Environment, pid: int | None, yes: bool, as_json: bool) -> None:
    """Show who is connected to the database, since when, and what they wait for; or end one of them.

    Behind the state is how long it has lasted. Who waits for a lock is shown with the pids that hold it. Ending a
    session rolls its transaction back; a worker connects again by itself.

    \b
    Examples:
      signup-sync db sessions
      signup-sync db sessions --env prod --json | jq 'select(.state == "idle in transaction")'
      signup-sync db sessions --end 4711
    """
    with closing(connect(DatabaseSettings.of(environment).conninfo)) as connection:
        found = [session for session in list_sessions(connection) if pid in (None, session.pid)]
        if pid is not None and not found:
            raise Refused(f"this database has no session {pid}")
        if not found:
            click.echo("nobody else is connected", err=True)
        _show(found, as_json=as_json)
        if pid is None:
            return
        if not (yes or click.confirm(f"End session {pid}?", err=True)):
            raise Refused("nothing was ended")
        if not end_session(connection, found[0]):
            raise Refused(f"session {pid} was told to end, and is still there")
    click.echo(f"ended {pid}", err=True)


def _show(found: list[Session], *, as_json: bool) -> None:
    table = Table(_COLUMNS)
    for session in found:
        if as_json:
            started_at = session.started_at.isoformat() if session.started_at else None
            click.echo(json.dumps({**asdict(session), "started_at": started_at}))
        else:
            table.row(*_row(session))


def _row(session: Session) -> tuple[str, ...]:
    lasting = "" if session.state_seconds is None else f" {duration(session.state_seconds)}"
    blockers = f" ({', '.join(map(str, session.blocked_by))})" if session.blocked_by else ""
    return (
        str(session.pid),
        session.user_name or "-",
        f"{session.state}{lasting}" if session.state else "?",
        f"{session.waiting_for}{blockers}" if session.waiting_for else "-",
        "?" if session.age_seconds is None else duration(session.age_seconds),
        session.application or "-",
        session.client or "?",
    )
