"""`signup-sync reconcile`."""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import click
import psycopg

from db.connection import Connection
from db.pool import connect
from signup_sync.postgres.errors import describe
from signup_sync.publisher import Publisher
from worker.aws import cognito
from worker.aws.cognito import CognitoError, UserPool
from worker.cli.commands.dlq import options
from worker.cli.parameters import point_in_time
from worker.cli.progress import progress_bar
from worker.cli.refused import Refused
from worker.reconciliation.changes import Change, ChangeCounts, ChangeSearch
from worker.reconciliation.deletions import YOUNGEST, Erasure, ErasureCounts, Erasures, TooMany
from worker.reconciliation.outbox import Outbox, Sent
from worker.reconciliation.reconciliation import Missing, OrphanSearch, Reconciliation, Summary
from worker.settings import EventsQueueSettings, ReconcileSettings

# Amazon Cognito user pools API Reference, ListUsers, "UserPoolId".
_is_pool_id = re.compile(r"[\w-]{1,45}_[0-9a-zA-Z]{1,45}", re.ASCII).fullmatch

_NEEDED = (
    "--changes needs a role that may read e-mail addresses, names, handles and attributes, as the worker's may not:"
    " signup-sync db grant-reconciler"
)


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
@click.option("--changes", is_flag=True, help="Also compare those who are here, and enqueue what has changed.")
@click.option(
    "--deleted",
    "--report-orphans",
    "deleted",
    is_flag=True,
    help="Also list the users who are here and no longer in the pool.",
)
@click.option("--erase", is_flag=True, help="With --deleted: enqueue that they are deleted, which nothing undoes.")
@options.rate
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object for each line, the summary last.")
def reconcile(
    user_pool_id: str,
    dry_run: bool,
    since: datetime | None,
    changes: bool,
    deleted: bool,
    erase: bool,
    rate: float | None,
    as_json: bool,
) -> None:
    """Find the users of a Cognito pool who are not in the database, and enqueue them.

    Some users never fire the trigger: those that an administrator created or imported, and those who were confirmed
    while the queue could not be reached. This goes through the whole pool and publishes user.signed_up.v1 for each who
    is missing; the worker does the rest. It needs DATABASE_URL (to read `users`), QUEUE_URL, and the permissions
    cognito-idp:ListUsers and sqs:SendMessage. It can be stopped and run again at any time, and be scheduled.
    USER_ATTRIBUTES names attributes that go along; they should be those of the Lambda.

    Unconfirmed and disabled users are skipped.

    With --changes it says of whom the pool knows something else than the table, by the names of the fields, and
    publishes user.updated.v1. It needs a role that may read the columns of a profile, which the worker's may not
    (`signup-sync db grant-reconciler`).

    With --deleted it lists who is here and not in the pool (orphans). With --erase, too, it publishes user.deleted.v1
    for them, but for those who have signed up in the last hour; if they were more than 5 % of the users it would be
    the wrong pool, and nobody is erased.

    Exit status: 0 if nobody is missing or all who are missing have been enqueued, 1 if some could not be, 2 if it
    could not be done at all, or --erase was refused.

    \b
    Examples:
      signup-sync reconcile --user-pool-id eu-west-1_aBcDeFgHi --dry-run
      signup-sync reconcile --user-pool-id eu-west-1_aBcDeFgHi --since 7d --json
      signup-sync reconcile --user-pool-id eu-west-1_aBcDeFgHi --changes --rate 50
      signup-sync reconcile --user-pool-id eu-west-1_aBcDeFgHi --deleted --erase --dry-run
    """
    if erase and not deleted:
        raise click.UsageError("--erase belongs to --deleted.")
    settings = ReconcileSettings.from_environment()
    queue_url = None if dry_run else EventsQueueSettings.from_environment().queue_url
    report = _Report(as_json=as_json)
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(closing(connect(settings.conninfo, settings.database_schema)))
            pool = UserPool(user_pool_id, stack.enter_context(closing(cognito.connect())))
            outbox = Outbox(None if queue_url is None else stack.enter_context(Publisher(queue_url)), rate)
            search = stack.enter_context(closing(_orphan_search(connection, erase=erase))) if deleted else None
            change_search = (
                ChangeSearch(pool.id, connection, outbox, settings.user_attributes, since) if changes else None
            )
            reconciliation = Reconciliation(pool, connection, outbox, settings.user_attributes, since=since)
            erasures = Erasures(pool, outbox) if erase else None
            run = _Run(pool, reconciliation, outbox, report, change_search, search, erasures)
            run.compare()
            too_many = run.look_for_orphans()
        except CognitoError as error:
            raise Refused(str(error)) from error
        except psycopg.errors.UndefinedTable as error:
            raise Refused(f"database: {describe(error)}; run signup-sync db migrate") from error
        except psycopg.errors.InsufficientPrivilege as error:
            if not changes:
                raise
            raise Refused(f"database: {describe(error)}; {_NEEDED}") from error
    run.summary()
    if too_many is not None:
        raise Refused(
            f"nobody was erased: {too_many.gone} of {too_many.living} users are not in the pool, more than 5 %; is it"
            " the right pool? If it is, erase them one by one, with signup-sync erase"
        )
    if run.failed:
        raise SystemExit(1)


def _orphan_search(connection: Connection, *, erase: bool) -> OrphanSearch:
    return OrphanSearch(connection, datetime.now(UTC) - YOUNGEST if erase else None)


@dataclass(slots=True)
class _Run:
    """What one run looks for, in one pass through the pool."""

    pool: UserPool
    reconciliation: Reconciliation
    outbox: Outbox
    report: "_Report"
    changes: ChangeSearch | None
    search: OrphanSearch | None
    erasures: Erasures | None
    orphans: int | None = None

    def compare(self) -> None:
        """The pool with the table. Raises `CognitoError`, `psycopg.Error`, and `Refused` if nothing can be enqueued."""
        total = self.pool.estimated_size() if sys.stderr.isatty() else None  # another permission, only for the bar
        with self._interruptible(), progress_bar("Comparing", total) as advance:
            for users, missing in self.reconciliation.run():
                changes = self.changes.see(users) if self.changes else []
                if self.outbox.called_off and not self.outbox.enqueued:
                    raise Refused(f"nothing was enqueued: {self.outbox.called_off}")
                self.report.missing(missing)
                self.report.changes(changes)
                if self.search:
                    self.search.see(users)
                advance(len(users))
        if self.outbox.called_off:
            click.echo(f"stopped: {self.outbox.called_off}; run it again to go on", err=True)

    def look_for_orphans(self) -> TooMany | None:
        """List them, or enqueue their deletion, unless they are too many. Raises `CognitoError`."""
        if self.search is None or not self.reconciliation.summary.complete or self.outbox.called_off:
            return None
        if self.erasures is None:
            self.orphans = self.report.orphans(self.search.orphans())
            return None
        try:
            with self._interruptible():
                self.orphans = self.report.erasures(self.erasures.run(self.search))
        except TooMany as error:
            self.orphans = self.report.orphans(self.search.orphans())
            return error
        if self.outbox.called_off:
            click.echo(f"stopped: {self.outbox.called_off}; run it again to go on", err=True)
        return None

    def summary(self) -> None:
        self.report.summary(
            self.reconciliation.summary,
            self.orphans,
            self.changes.counts if self.changes else None,
            self.erasures.counts if self.erasures else None,
        )

    @property
    def failed(self) -> int:
        """How many could not be enqueued."""
        changed = self.changes.counts.failed if self.changes else 0
        erased = self.erasures.counts.failed if self.erasures else 0
        return self.reconciliation.summary.failed + changed + erased

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            click.echo(f"interrupted; {self.outbox.enqueued} enqueued so far; run it again to go on", err=True)
            raise SystemExit(130) from None


class _Report:
    """What goes to standard output."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def missing(self, users: Iterable[Missing]) -> None:
        for user in users:
            self._user(user.sub, Sent(user.outcome, user.reason), user.sub)

    def changes(self, changes: Iterable[Change]) -> None:
        for change in changes:
            fields = ", ".join(change.fields)
            text = f"update of {_shown(change.sub)}" + (f" ({fields})" if fields else "")
            self._user(change.sub, change.sent, text, {"type": "user.updated.v1", "fields": change.fields})

    def orphans(self, ids: Iterable[str]) -> int:
        """Print them, and return how many there are."""
        count = 0
        for each in ids:
            count += 1
            self._print({"cognito_user_id": each, "outcome": "orphan"}, f"orphan {_shown(each)}")
        return count

    def erasures(self, erasures: Iterable[Erasure]) -> int:
        """The same of those whose deletion is enqueued."""
        count = 0
        for each in erasures:
            count += 1
            self._user(each.sub, each.sent, f"deletion of {_shown(each.sub)}", {"type": "user.deleted.v1"})
        return count

    def summary(
        self, summary: Summary, orphans: int | None, changes: ChangeCounts | None, erasures: ErasureCounts | None
    ) -> None:
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
        record: dict[str, object] = {**asdict(summary), "orphans": orphans}
        if changes:
            counts["changed"] = f"{changes.changed} ({changes.enqueued} enqueued, {changes.newer} newer here)"
            record["changes"] = asdict(changes)
        if erasures:
            counts["erased"] = f"{erasures.enqueued} enqueued"
            record["erasures"] = asdict(erasures)
        text = "\n".join(f"{name + ':':<14}{count}" for name, count in counts.items())
        self._print({"summary": record}, text)

    def _user(self, sub: str, sent: Sent, text: str, record: dict[str, object] | None = None) -> None:
        why = {} if sent.reason is None else {"reason": sent.reason}
        line = f"{sent.outcome.replace('_', ' ')} {text}" + (f": {sent.reason}" if sent.reason else "")
        self._print({"cognito_user_id": sub, "outcome": sent.outcome, **(record or {}), **why}, line)

    def _print(self, record: dict[str, object], text: str) -> None:
        click.echo(json.dumps(record) if self._as_json else text)


def _shown(sub: str) -> str:
    """The column holds whatever a publisher wrote there: it must not drive the terminal."""
    return sub if sub.isprintable() else json.dumps(sub)
