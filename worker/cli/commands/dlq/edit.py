"""`signup-sync dlq edit`."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import FrameType

import click

from worker.cli import parameters
from worker.cli.commands.dlq import options
from worker.cli.commands.dlq.differences import show_difference, show_differences
from worker.cli.commands.dlq.look import not_found
from worker.cli.commands.dlq.queues import Queues, check_pair, inspecting, open_queues
from worker.cli.commands.dlq.report import Report
from worker.cli.progress import progress_bar
from worker.cli.refused import Refused
from worker.dead_letters.dead_letter import DeadLetter, Selection
from worker.dead_letters.lossless_json import NotAnObject, as_json, compact, pretty
from worker.dead_letters.replay import Edit, alike, edit_of
from worker.dead_letters.requeue import Requeue
from worker.dead_letters.scan import Scan
from worker.text import printable

MAX_EDITED = 10_000  # messages at once, which are kept in memory


def assignment(text: str) -> tuple[str, str]:
    """`data.handle=ada`: the keys with dots in between, and the value as JSON. Raises `click.BadParameter`."""
    path, equals, value = parameters.text(text).partition("=")
    if not equals or not all(path.split(".")):
        raise click.BadParameter(f"{text!r} is not a member and its value, such as data.handle=ada")
    return path, as_json(value)


@click.command
@click.argument("message_id", type=parameters.text, metavar="[ID]", required=False)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    type=assignment,
    metavar="PATH=VALUE",
    help="Set a member of the event; repeatable.",
)
@options.selection
@click.option("--dry-run", is_flag=True, help="Show the difference, and send nothing.")
@options.yes
def edit(
    message_id: str | None,
    assignments: tuple[tuple[str, str], ...],
    selection: Selection,
    dry_run: bool,
    yes: bool,
) -> None:
    """Change an event and send it back.

    Opens it in $VISUAL or $EDITOR; with --set there is no editor, and filters may take the place of ID. A value is
    JSON if it can be read as such, else text: --set 'data.handle="42"' is text. What comes back is checked; then the
    difference is shown, and the event sent when you agree. An invalid one goes nowhere: the message stays, and your
    text is kept in a file. What you do not touch stays as it was sent. Of many that change alike one is shown, and how
    many more they are.

    \b
    Examples:
      signup-sync dlq edit 5fea7756-0ea4-451a-a703-a558b933e274
      signup-sync dlq edit 5fea7756-0ea4-451a-a703-a558b933e274 --set data.handle=ada
      signup-sync dlq edit --reason invalid_event --detail data.display_name --set data.display_name=Unknown
      signup-sync dlq edit --reason invalid_event --match data.display_name= --set data.display_name=Unknown
    """
    if message_id is not None:
        selection = replace(selection, ids=selection.ids | {message_id})
    if selection.is_everything:
        raise click.UsageError("Which one? Give its ID, or filters together with --set.")
    queues = open_queues()
    check_pair(queues)
    with inspecting(queues.dead_letters) as inspection:
        letters = _letters(selection, inspection, several=bool(assignments))
        if assignments:
            edits = _assigned(letters, assignments)
            show_differences(alike(edits, [path for path, _ in assignments]))
            _send(_agreed(edits, dry_run=dry_run, yes=yes), inspection, queues)
        else:
            _edit_by_hand(letters[0], inspection, queues, dry_run=dry_run, yes=yes)


def _letters(selection: Selection, inspection: Scan, *, several: bool) -> list[DeadLetter]:
    """Hold these, and no others."""
    letters = list(islice(selection.choose(inspection), MAX_EDITED + 1))
    inspection.finish(keep={letter.id for letter in letters})
    if not letters:
        raise not_found(" or ".join(sorted(selection.ids)) or "of these filters", inspection)
    if len(letters) > MAX_EDITED:
        raise Refused(f"these are more than {MAX_EDITED}: take them in parts, with --limit {MAX_EDITED}")
    if len(letters) > 1 and not several:
        ids = ", ".join(letter.id for letter in letters[:10])
        raise Refused(f"there are {len(letters)} of them: choose one by its message id ({ids})")
    return letters


def _assigned(letters: Sequence[DeadLetter], assignments: Sequence[tuple[str, str]]) -> list[Edit]:
    """With the members set. An edit that is invalid goes nowhere, and takes the others with it."""
    edits = []
    for letter in letters:
        try:
            edits.append(edit_of(letter, assignments))
        except NotAnObject as error:
            raise Refused(f"{letter.id}: {error}; nothing was sent") from None
    for edit_ in edits:
        if edit_.problem is not None:
            raise Refused(f"{edit_.letter.id}: the event would be invalid: {edit_.problem}; nothing was sent")
    return edits


def _edit_by_hand(letter: DeadLetter, inspection: Scan, queues: Queues, *, dry_run: bool, yes: bool) -> None:
    path = _draft(letter)
    done = False
    try:
        edit_ = _valid(letter, path)
        if edit_ is None:
            click.echo("nothing was changed, and nothing sent")
        else:
            show_difference(edit_)
            _send(_agreed([edit_], dry_run=dry_run, yes=yes), inspection, queues)
        done = edit_ is None or not dry_run
    finally:
        if done:
            path.unlink(missing_ok=True)
        else:
            click.echo(f"signup-sync: your text is in {path}", err=True)


def _draft(letter: DeadLetter) -> Path:
    """A file for the editor, which only its owner can read."""
    descriptor, name = tempfile.mkstemp(prefix=f"dead-letter-{letter.id[:8]}-", suffix=".json")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(pretty(letter.message.body) + "\n")
    return Path(name)


def _valid(letter: DeadLetter, path: Path) -> Edit | None:
    """Have it edited until it is valid, or until the operator has had enough (`Refused`). None if nothing changed."""
    before = path.read_text(encoding="utf-8")
    while True:
        with _signals_left_to_editor():
            _open_editor(path)
        try:
            after = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise Refused("the edited text cannot be read; the message stays where it is") from None
        edit_ = Edit(letter, compact(after.rstrip("\n")))
        if after == before:
            return None
        if edit_.problem is None:
            return edit_
        if not sys.stdin.isatty() or not click.confirm(f"Invalid: {printable(edit_.problem)}. Edit again?", err=True):
            raise Refused(f"the event is invalid: {edit_.problem}; the message stays where it is")


def _open_editor(path: Path) -> None:
    """$VISUAL, $EDITOR, or what there is; click reads them."""
    try:
        click.edit(filename=str(path))
    except click.ClickException as error:
        raise Refused(f"{error.format_message()} (set VISUAL or EDITOR); the message stays where it is") from None


@contextmanager
def _signals_left_to_editor() -> Iterator[None]:
    """Ctrl-C reaches every process of the terminal, and means the editor's."""

    def ignore(_: int, __: FrameType | None) -> None:
        """Unlike SIG_IGN, the editor does not inherit this."""

    before = signal.signal(signal.SIGINT, ignore)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _agreed(edits: Sequence[Edit], *, dry_run: bool, yes: bool) -> Sequence[Edit]:
    """What is to be sent of the edits that were shown."""
    if dry_run:
        return []
    if not yes:
        number = "this event" if len(edits) == 1 else f"these {len(edits)} events"
        sources = " and the ".join(sorted({edit_.letter.source_queue for edit_ in edits}, reverse=True))
        click.confirm(f"Send {number} to the {sources} queue?", abort=True, err=True)
    return edits


def _send(edits: Sequence[Edit], inspection: Scan, queues: Queues) -> None:
    if not edits:
        return
    with progress_bar("sending", len(edits)) as advance:
        report = Report[DeadLetter](advance)
        with Requeue(queues.sources, inspection.held, report.result) as transfer:
            for edit_ in edits:
                transfer.add(edit_.letter, edit_.letter.original(edit_.body))
    report.summary()
    if not report.complete:
        raise SystemExit(1)
