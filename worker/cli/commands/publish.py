"""`signup-sync publish`."""

import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, TypedDict, Unpack
from uuid import UUID

import click

from signup_sync.events import (
    ActivityCreated,
    Event,
    InvalidEvent,
    UserDeleted,
    UserSignedUp,
    UserUpdated,
    parse_event,
)
from signup_sync.publisher import NotPublished, Publisher, Unpublished
from worker.cli.parameters import duration, text
from worker.cli.progress import Advance, progress_bar
from worker.cli.refused import Refused
from worker.settings import EventsQueueSettings

CHUNK = 100  # events between two looks at what became of them
SHOWN_ERRORS = 20  # lines of a file that are said to be invalid; of the others only how many there are


def _attribute(given: str) -> tuple[str, str]:
    """`locale=en`. Raises `click.BadParameter`."""
    name, equals, value = text(given).partition("=")
    if not equals:
        raise click.BadParameter(f"{given!r} is no attribute and its value, such as locale=en")
    return name, value


_source = click.option(
    "--source",
    type=text,
    default="/signup-sync",
    show_default=True,
    help="Who publishes: the event's CloudEvents `source`.",
)
_profile = (
    click.option("--sub", required=True, type=text, help="The user's Cognito `sub`."),
    click.option("--handle", required=True, type=text, help="1 to 64 characters without white space; it is public."),
    click.option(
        "--display-name", type=text, metavar="TEXT", help="1 to 200 characters; it is public. Without it, the handle."
    ),
    click.option("--email", type=text, help="It is not public."),
    click.option(
        "--attribute",
        "attributes",
        multiple=True,
        type=_attribute,
        metavar="NAME=VALUE",
        help="Of Cognito, and not public; repeatable.",
    ),
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each event, not just its id.")


@click.group
def publish() -> None:
    """Put events into the events queue that QUEUE_URL names.

    Each command checks the events against the contract (see `signup-sync schema`) before it sends any, and prints the
    ids of those that are in the queue. Publishing the same event twice does no harm.

    \b
    Examples:
      signup-sync publish activity --author 5f0c... --message "Hello"
      signup-sync publish file events.jsonl
    """


@publish.command
@click.option("--author", required=True, type=text, metavar="SUB", help="The author's Cognito `sub`.")
@click.option("--message", required=True, type=text, metavar="TEXT", help="1 to 1,024 characters.")
@click.option("--expires-in", type=duration, metavar="DURATION", help="For example 12h or 7d; without it, never.")
@click.option("--reply-to", type=click.UUID, metavar="UUID", help="The activity that this one replies to.")
@_source
@_json
def activity(
    author: str, message: str, expires_in: timedelta | None, reply_to: UUID | None, source: str, as_json: bool
) -> None:
    """Publish that a user has posted something; prints the new activity's UUID.

    \b
    Examples:
      signup-sync publish activity --author 5f0c... --message "Hello"
      signup-sync publish activity --author 5f0c... --message "Back soon" --expires-in 7d
      signup-sync publish activity --author 5f0c... --message "Welcome!" --reply-to 0b6e... --json
    """
    try:
        expires_at = None if expires_in is None else datetime.now(UTC) + expires_in
    except OverflowError:
        raise click.BadParameter("is too long", param_hint="--expires-in") from None
    with _refused_if_invalid():
        event = ActivityCreated.new(
            author=author, message=message, source=source, expires_at=expires_at, reply_to=reply_to
        )
    _publish_one(event, as_json=as_json)


class _Profile(TypedDict):
    """What `_profile_options` and `_source` give a command."""

    sub: str
    handle: str
    display_name: str | None
    email: str | None
    attributes: tuple[tuple[str, str], ...]
    source: str


def _profile_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_profile):
        command = option(command)
    return command


def _profile_event(model: type[UserSignedUp | UserUpdated], **profile: Unpack[_Profile]) -> UserSignedUp | UserUpdated:
    return model.new(
        cognito_user_id=profile["sub"],
        handle=profile["handle"],
        display_name=profile["display_name"] or profile["handle"],
        email=profile["email"],
        attributes=dict(profile["attributes"]),
        source=profile["source"],
    )


@publish.command
@_profile_options
@_source
@_json
def user(*, as_json: bool, **profile: Unpack[_Profile]) -> None:
    """Publish that a user has signed up, as the Cognito trigger does; prints the user's `sub`.

    To find and publish all users that are missing, see `signup-sync reconcile`.

    \b
    Example:
      signup-sync publish user --sub 5f0c... --handle ada --display-name "Ada Lovelace"
    """
    with _refused_if_invalid():
        event = _profile_event(UserSignedUp, **profile)
    _publish_one(event, as_json=as_json)


@publish.command
@_profile_options
@_source
@_json
def update(*, as_json: bool, **profile: Unpack[_Profile]) -> None:
    """Publish what a user's whole profile is from now on; prints the event's id.

    What is left out is gone: their e-mail address, for example. To find and publish what has changed in Cognito, see
    `signup-sync reconcile --changes`.

    \b
    Examples:
      signup-sync publish update --sub 5f0c... --handle ada --display-name "Ada King" --email ada@example.org
      signup-sync publish update --sub 5f0c... --handle ada --attribute locale=en --attribute custom:tenant_id=42
    """
    with _refused_if_invalid():
        event = _profile_event(UserUpdated, **profile)
    _publish_one(event, as_json=as_json)


@publish.command
@click.option("--sub", required=True, type=text, help="The user's Cognito `sub`.")
@click.option("--keep-activities", is_flag=True, help="Leave what they have posted as it is.")
@_source
@_json
def delete(sub: str, keep_activities: bool, source: str, as_json: bool) -> None:
    """Publish that a user's account is gone, which nothing undoes; prints the event's id.

    `signup-sync erase` does it for people: it says first what it will do, and deletes their dead letters too.

    \b
    Examples:
      signup-sync publish delete --sub 5f0c...
      signup-sync publish delete --sub 5f0c... --keep-activities --json
    """
    with _refused_if_invalid():
        event = UserDeleted.new(cognito_user_id=sub, activities="keep" if keep_activities else "erase", source=source)
    _publish_one(event, as_json=as_json)


@publish.command
@click.argument("events", type=click.File("rb"), metavar="EVENTS.jsonl")
@_json
def file(events: IO[bytes], as_json: bool) -> None:
    """Publish the events of a file, one JSON object a line ('-': standard input).

    All lines are checked before anything is sent; empty ones are passed over, and attributes that the contract does
    not name are left out. Exit status 1 if some events could not be published; publishing the whole file again does no
    harm.

    \b
    Examples:
      signup-sync publish file events.jsonl
      jq -c '.[]' events.json | signup-sync publish file - --json
    """
    queue_url = EventsQueueSettings.from_environment().queue_url
    with tempfile.TemporaryFile() as checked:
        total = _check(events, checked)
        checked.seek(0)
        with Publisher(queue_url) as publisher, progress_bar("Publishing", total) as advance:
            run = _FilePublication(publisher, advance, as_json=as_json)
            try:
                run.publish(_read(checked))
            except KeyboardInterrupt:
                click.echo(f"interrupted; {run.published} of {total} events are known to be published", err=True)
                raise SystemExit(130) from None
    if run.published < total:
        click.echo(f"{run.published} of {total} events were published; it is safe to publish the file again", err=True)
        raise SystemExit(1)
    click.echo(_summary(total), err=True)


def _summary(total: int) -> str:
    if not total:
        return "the file has no events: nothing was published"
    return "1 event was published" if total == 1 else f"all {total} events were published"


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    event: Event


class _FilePublication:
    """The events of a file on their way; `published` of them are in the queue so far."""

    def __init__(self, publisher: Publisher, advance: Advance, *, as_json: bool) -> None:
        self.published = 0
        self._publisher = publisher
        self._advance = advance
        self._as_json = as_json

    def publish(self, lines: Iterator[_Line]) -> None:
        """Publish them, until one call fails whole: then it is the queue and not the events. Raises `Refused` if that
        was the first."""
        while chunk := list(itertools.islice(lines, CHUNK)):
            failures = self._publisher.publish_many([line.event for line in chunk])
            called_off = next((failure for failure in failures if failure.call_failed), None)
            if called_off and len(failures) == len(chunk) and not self.published:
                raise Refused(f"nothing was published: {called_off.reason}")
            self._report(chunk, failures)
            self._advance(len(chunk))
            if called_off:
                click.echo(f"stopped: {called_off.reason}", err=True)
                return

    def _report(self, chunk: list[_Line], failures: list[Unpublished]) -> None:
        # By identity, as a file may hold the same event twice.
        failed = {id(failure.event): failure for failure in failures}
        for line in chunk:
            failure = failed.get(id(line.event))
            self.published += failure is None
            _print(line.event, failure, line.number, as_json=self._as_json)


def _check(events: IO[bytes], checked: IO[bytes]) -> int:
    """Copy the lines, each behind its number, and return how many there are. Raises `Refused` if one is invalid.

    Copied, since standard input can be read but once, and a file may change meanwhile.
    """
    valid = invalid = 0
    for number, line in enumerate(events, 1):
        if not line.strip():
            continue
        try:
            parse_event(line.decode())
        except (InvalidEvent, UnicodeDecodeError) as error:
            invalid += 1
            if invalid <= SHOWN_ERRORS:
                why = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
                click.echo(f"line {number}: {why}", err=True)
        else:
            valid += 1
            checked.write(b"%d %s\n" % (number, line.strip()))
    if invalid:
        raise Refused(f"nothing was published, as {invalid} of {valid + invalid} events are invalid")
    return valid


def _read(checked: IO[bytes]) -> Iterator[_Line]:
    for line in checked:
        number, _, body = line.partition(b" ")
        yield _Line(int(number), parse_event(body.decode()))


@contextmanager
def _refused_if_invalid() -> Iterator[None]:
    try:
        yield
    except InvalidEvent as error:
        raise Refused(f"not published, as the event would be invalid: {error}") from error


def _publish_one(event: Event, *, as_json: bool) -> None:
    with Publisher(EventsQueueSettings.from_environment().queue_url) as publisher:
        try:
            publisher.publish(event)
        except NotPublished as error:
            raise Refused(f"not published: {error}") from error
    _print(event, None, None, as_json=as_json)


def _print(event: Event, failure: Unpublished | None, line: int | None, *, as_json: bool) -> None:
    if as_json:
        place = {} if line is None else {"line": line}
        why = {} if failure is None else {"code": failure.code, "reason": failure.reason}
        record = {"id": str(event.id), "type": event.type, "published": failure is None, **place, **why}
        click.echo(json.dumps(record))
    elif failure is None:
        click.echo(event.id)
    elif not failure.call_failed:
        click.echo(f"line {line}: not published: {failure.reason}", err=True)
