"""`signup-sync reconcile`."""

import json
import re
import sys
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import datetime

import click
import psycopg

from db.pool import connect
from signup_sync.postgres.errors import describe
from signup_sync.publisher import Publisher
from worker.aws import cognito
from worker.aws.cognito import CognitoError, UserPool
from worker.cli.parameters import point_in_time
from worker.cli.progress import progress_bar
from worker.cli.refused import Refused
from worker.reconciliation.reconciliation import Missing, OrphanSearch, Reconciliation, Summary
from worker.settings import EventsQueueSettings, ReconcileSettings

# Amazon Cognito user pools API Reference, ListUsers, "UserPoolId".
_is_pool_id = re.compile(r"[\w-]{1,45}_[0-9a-zA-Z]{1,45}", re.ASCII).fullmatch


def _pool_id(text: str) -> str:
    if not _is_pool_id(text):
        raise click.BadParameter(f"{text!r} is not a user pool's id such as eu-west-1_aBcDeFgHi")
    return text


@click.command
@click.option("--user-pool-id", required=True, type=_pool_id, metavar="ID", help="For example eu-west-1_aBcDeFgHi.")
@click.option("--dry-run", is_flag=True, help="Only look; QUEUE_URL is not needed.")
@click.option(
    "--since",
    type=point_in_time,
    metavar="WHEN",
    help="Leave out users who were last changed (confirmed, for example) before: 24h, 7d, 2026-01-31, or with a time.",
)
@click.option("--report-orphans", is_flag=True, help="Also list the users who are here and not in the pool.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object for each line, the summary last.")
def reconcile(user_pool_id: str, dry_run: bool, since: datetime | None, report_orphans: bool, as_json: bool) -> None:
    """Find the users of a Cognito pool who are not in the database, and enqueue them.

    Some users never fire the trigger: those that an administrator created or imported, and those who were confirmed
    while the queue could not be reached. This goes through the whole pool and publishes user.signed_up.v1 for each who
    is missing; the worker does the rest. It needs DATABASE_URL (to read `users`), QUEUE_URL, and the permissions
    cognito-idp:ListUsers and sqs:SendMessage. It can be stopped and run again at any time, and be scheduled.

    Unconfirmed and disabled users are skipped. Orphans are listed and never deleted.

    Exit status: 0 if nobody is missing or all who are missing have been enqueued, 1 if some could not be, 2 if it
    could not be done at all.

    \b
    Examples:
      signup-sync reconcile --user-pool-id eu-west-1_aBcDeFgHi --dry-run
      signup-sync reconcile --user-pool-id eu-west-1_aBcDeFgHi --since 7d --json
      signup-sync reconcile --user-pool-id eu-west-1_aBcDeFgHi --dry-run --report-orphans
    """
    settings = ReconcileSettings.from_environment()
    queue_url = None if dry_run else EventsQueueSettings.from_environment().queue_url
    report = _Report(as_json=as_json)
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(closing(connect(settings.conninfo, settings.database_schema)))
            pool = UserPool(user_pool_id, stack.enter_context(closing(cognito.connect())))
            publisher = None if queue_url is None else stack.enter_context(Publisher(queue_url))
            search = stack.enter_context(closing(OrphanSearch(connection))) if report_orphans else None
            reconciliation = Reconciliation(pool, connection, publisher, settings.user_attributes, since=since)
            _go_through(pool, reconciliation, search, report)
        except CognitoError as error:
            raise Refused(str(error)) from error
        except psycopg.errors.UndefinedTable as error:
            raise Refused(f"database: {describe(error)}; run signup-sync db migrate") from error
        summary = reconciliation.summary
        orphans = report.orphans(search.orphans()) if search and summary.complete else None
    report.summary(summary, orphans)
    if summary.failed:
        raise SystemExit(1)


def _go_through(pool: UserPool, reconciliation: Reconciliation, search: OrphanSearch | None, report: "_Report") -> None:
    summary = reconciliation.summary
    total = pool.estimated_size() if sys.stderr.isatty() else None  # it is another permission, and only for the bar
    try:
        with progress_bar("Comparing", total) as advance:
            for users, missing in reconciliation.run():
                if reconciliation.called_off and not summary.enqueued:
                    raise Refused(f"nothing was enqueued: {reconciliation.called_off}")
                report.missing(missing)
                if search:
                    search.see(users)
                advance(len(users))
    except KeyboardInterrupt:
        click.echo(f"interrupted; {summary.enqueued} enqueued so far; run it again to go on", err=True)
        raise SystemExit(130) from None
    if reconciliation.called_off:
        click.echo(f"stopped: {reconciliation.called_off}; run it again to go on", err=True)


class _Report:
    """What goes to standard output."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def missing(self, users: Iterable[Missing]) -> None:
        for user in users:
            why = {} if user.reason is None else {"reason": user.reason}
            text = f"{user.outcome.replace('_', ' ')} {user.sub}" + (f": {user.reason}" if user.reason else "")
            self._print({"cognito_user_id": user.sub, "outcome": user.outcome, **why}, text)

    def orphans(self, ids: Iterable[str]) -> int:
        """Print them, and return how many there are."""
        count = 0
        for each in ids:
            count += 1
            # The column holds whatever a publisher wrote there: it must not drive the terminal.
            shown = each if each.isprintable() else json.dumps(each)
            self._print({"cognito_user_id": each, "outcome": "orphan"}, f"orphan {shown}")
        return count

    def summary(self, summary: Summary, orphans: int | None) -> None:
        reasons = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in sorted(summary.skipped.items()))
        counts = {
            "in the pool": summary.in_pool,
            "present": summary.present,
            "missing": summary.missing,
            "enqueued": summary.enqueued,
            "not enqueued": summary.missing - summary.enqueued,
            "skipped": f"{sum(summary.skipped.values())} ({reasons})" if reasons else 0,
            "orphans": "not looked for" if orphans is None else orphans,
        }
        text = "\n".join(f"{name + ':':<14}{count}" for name, count in counts.items())
        self._print({"summary": {**asdict(summary), "orphans": orphans}}, text)

    def _print(self, record: dict[str, object], text: str) -> None:
        click.echo(json.dumps(record) if self._as_json else text)
