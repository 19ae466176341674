"""`signup-sync erase`."""

from collections.abc import Sequence
from contextlib import closing
from typing import Literal

import click

from db.connection import Connection
from db.pool import connect
from db.tables.deletions import count_activities
from db.tables.users import User, look_up_users
from signup_sync.events import InvalidEvent, UserDeleted
from signup_sync.publisher import NotPublished, Publisher
from signup_sync.sqs import BATCH_ENTRIES
from worker.cli import interrupts
from worker.cli.commands.dlq import options
from worker.cli.commands.dlq.queues import check_pair, inspecting, open_queues
from worker.cli.parameters import text
from worker.cli.refused import Refused
from worker.dead_letters.dead_letter import DeadLetter
from worker.dead_letters.held_messages import HeldMessages
from worker.dead_letters.person import Person
from worker.dead_letters.requeue import let_go
from worker.settings import DatabaseSettings
from worker.text import printable

OUT_OF_REACH = """\
Out of reach, and yours to look after:
  Cognito: the account, unless it is deleted already; no reconciliation brings the person back
  backups and snapshots of the database, until they expire
  exports of dead letters, and the copies that dlq delete and dlq edit have kept
  whatever else was made of the tables"""


@click.command
@click.argument("sub_or_email", type=text, metavar="SUB_OR_EMAIL")
@click.option("--keep-activities", is_flag=True, help="Leave what they have posted as it is.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@options.yes
def erase(sub_or_email: str, keep_activities: bool, dry_run: bool, yes: bool) -> None:
    """Erase what is known of a person, for good.

    Publishes user.deleted.v1, with which the worker leaves nothing of their row but the id and when it was deleted,
    and of their activities nothing but that they were; no late or replayed event changes that. Then it deletes their
    dead letters, without a copy: also those that do not say whose they are, if they have the id or the e-mail address
    anywhere in them.

    It says what it will do, and asks. Who has no row is named by their Cognito `sub`, and gets a tombstone. It can be
    run again at any time. It needs DATABASE_URL (to read `users` and `activities`), QUEUE_URL and DLQ_URL.

    \b
    Examples:
      signup-sync erase 5f0c6a4e-0c1d-4a52-9d0e-6f4f1f0f2a11 --dry-run
      signup-sync erase ada@example.org
      signup-sync erase 5f0c6a4e-0c1d-4a52-9d0e-6f4f1f0f2a11 --keep-activities --yes
    """
    interrupts.install()
    settings = DatabaseSettings.from_environment()
    queues = open_queues()
    check_pair(queues)
    with closing(connect(settings.conninfo, settings.database_schema)) as connection:
        user = _find(connection, sub_or_email)
        posted = count_activities(connection, user.uuid) if user else 0
    person = Person(user.cognito_user_id, user.email) if user else Person(sub_or_email)
    event = _event(person, "keep" if keep_activities else "erase")
    with inspecting(queues.dead_letters) as scan:
        ids = [letter.id for letter in map(DeadLetter, scan) if person.has(letter)]
        scan.finish(keep=set(ids))
        click.echo(_plan(person, user, posted, len(ids), keep_activities=keep_activities))
        if dry_run or not (yes or click.confirm("Erase this for good?", err=True)):
            click.echo("nothing was erased")
            return
        with Publisher(queues.sources.events.url) as publisher:
            _publish(event, publisher)
        left = _delete(scan.held, ids)
    click.echo(f"published user.deleted.v1, {event.id}; {len(ids) - left} dead letters deleted\n{OUT_OF_REACH}")
    if left:
        raise Refused(f"{left} dead letters could not be deleted and are still there; the same command again is safe")


def _find(connection: Connection, sub_or_email: str) -> User | None:
    """None if it is nobody's id in the table. Raises `Refused` if it is an address, and not that of one person."""
    found = look_up_users(connection, sub_or_email)
    for user in found:
        if user.cognito_user_id == sub_or_email:
            return user
    if "@" not in sub_or_email:
        return None
    users = [user for user in found if (user.email or "").lower() == sub_or_email.lower()]
    if not users:
        raise Refused("nobody in the table has this e-mail address: give the person's sub, which Cognito knows")
    if len(users) > 1:
        subs = ", ".join(sorted(printable(user.cognito_user_id) for user in users))
        raise Refused(f"several people have this e-mail address: give the sub of one ({subs})")
    return users[0]


def _event(person: Person, activities: Literal["erase", "keep"]) -> UserDeleted:
    try:
        return UserDeleted.new(
            cognito_user_id=person.cognito_user_id, activities=activities, source="/signup-sync/erase"
        )
    except InvalidEvent as error:
        raise Refused(f"this is no user's id: {error}") from error


def _plan(person: Person, user: User | None, posted: int, letters: int, *, keep_activities: bool) -> str:
    if user is None:
        row = "there is none; a tombstone keeps late events out"
    elif user.deleted_at is not None:
        row = f"deleted since {user.deleted_at:%Y-%m-%d %H:%M} UTC"
    else:
        row = "e-mail address, name, handle and attributes are erased; a tombstone stays"
    lines = {
        "user": printable(person.cognito_user_id),
        "row": row,
        "activities": f"{posted} {'kept' if keep_activities else 'erased'}",
        "dead letters": f"{letters} deleted, without a copy",
    }
    return "\n".join(f"{name + ':':<14}{what}" for name, what in lines.items())


def _publish(event: UserDeleted, publisher: Publisher) -> None:
    try:
        publisher.publish(event)
    except NotPublished as error:
        raise Refused(f"nothing was erased: {error}") from error


def _delete(held: HeldMessages, ids: Sequence[str]) -> int:
    """Returns how many are still there. Raises `SqsError`."""
    starts = range(0, len(ids), BATCH_ENTRIES)
    return sum(len(let_go(held, ids[start : start + BATCH_ENTRIES])) for start in starts)
