"""`signup-sync dlq export`, `import` and `delete`."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click

from signup_sync.sqs import BATCH_ENTRIES
from worker.cli.commands.dlq import options
from worker.cli.commands.dlq.queues import Queues, check_pair, inspecting, open_queues
from worker.cli.commands.dlq.report import Report
from worker.cli.progress import progress_bar
from worker.cli.refused import Refused
from worker.dead_letters.dead_letter import Selection, problem_of
from worker.dead_letters.files import Journal, Record, UnreadableLine, create, read, to_line
from worker.dead_letters.held_messages import HeldMessages
from worker.dead_letters.requeue import Requeue, let_go
from worker.dead_letters.scan import Scan
from worker.dead_letters.source_queues import unnamed


@click.command
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@options.selection
def export(file: Path, selection: Selection) -> None:
    """Write dead letters to a file, and leave them where they are.

    One JSON object a line, with - on standard output. The file holds personal data and can be read by you only. It
    appears under its name when it is complete.

    \b
    Examples:
      signup-sync dlq export dead.jsonl
      signup-sync dlq export - --reason invalid_event | jq -r .body
    """
    with inspecting(open_queues().dead_letters) as inspection, _new_file(file) as lines:
        count = 0
        with progress_bar("exporting", inspection.attributes.visible) as advance:
            for letter in selection.choose(inspection):
                lines.write(to_line(letter) + "\n")
                count += 1
                advance(1)
    click.echo(f"{count} exported", err=True)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--dry-run", is_flag=True, help="Check the file and say how many would be sent.")
@click.option("--force", is_flag=True, help="Send also what would fail at once.")
@options.rate
@options.as_json
def import_(file: Path, dry_run: bool, force: bool, rate: float | None, as_json: bool) -> None:
    """Send the dead letters of a file back to where they came from.

    FILE is one that `export` or `delete` wrote. Each goes to the queue that it came from, as the original event: what
    works is done, and what does not comes back to the dead-letter queue with its reason. What would fail at once is
    named and not sent, unless --force.

    What SQS has acknowledged is noted in FILE.imported, so that a run that was cut off goes on where it was, and
    the same file twice sends nothing; without that file, writing an event twice does no harm. Exit status 1 says that
    something was not sent.

    \b
    Examples:
      signup-sync dlq import dead.jsonl --dry-run
      signup-sync dlq import dead.jsonl --rate 50
    """
    queues = open_queues()
    try:
        count = sum(1 for _ in read(file))
        with Journal(file) as journal:
            complete = _import(queues, file, count, journal, dry_run=dry_run, force=force, rate=rate, as_json=as_json)
    except UnreadableLine as error:
        raise Refused(f"{file}: {error}") from None
    except OSError as error:
        raise Refused(f"{error.filename or file}: {error.strerror}") from None
    if not complete:
        raise SystemExit(1)


@click.command
@options.selection
@click.option("--backup", type=click.Path(path_type=Path, dir_okay=False), help="Where to write what is deleted.")
@click.option("--no-backup", is_flag=True, help="Do not write it anywhere.")
@click.option("--dry-run", is_flag=True, help="Say how many would be deleted.")
@options.yes
def delete(selection: Selection, backup: Path | None, no_backup: bool, dry_run: bool, yes: bool) -> None:
    """Delete dead letters.

    Says how many, and asks. Before it deletes it writes them to a file, as `export` does; `import` brings them back.

    \b
    Examples:
      signup-sync dlq delete --reason invalid_event --older-than 7d
      signup-sync dlq delete --type user.signed_up.v0 --backup deleted.jsonl --yes
    """
    if no_backup and backup is not None:
        raise click.UsageError("--backup and --no-backup contradict each other.")
    queues = open_queues()
    check_pair(queues)
    path = None if no_backup or dry_run else backup or Path(f"deleted-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl")
    with inspecting(queues.dead_letters) as inspection:
        ids = _read(selection, inspection, path)
        inspection.finish(keep=set(ids))
        if dry_run or not ids or not (yes or _confirmed(len(ids), path)):
            _discard(path)
            click.echo(f"{len(ids)} would be deleted" if dry_run else "nothing was deleted")
            return
        left = _delete(inspection.held, ids)
    click.echo(f"{len(ids) - left} deleted" + (f", a copy is in {click.format_filename(path)}" if path else ""))
    if left:
        raise Refused(f"{left} could not be deleted and are still there; the same command again is safe")


def _import(
    queues: Queues,
    file: Path,
    count: int,
    journal: Journal,
    *,
    dry_run: bool,
    force: bool,
    rate: float | None,
    as_json: bool,
) -> bool:
    with progress_bar("importing", count) as advance:
        report = Report[Record](advance, as_json=as_json)
        with Requeue(queues.sources, journal, report.result, rate) as transfer:
            for record in _unsent(file, journal, report):
                problem = None if force else problem_of(record.message.body, record.source_queue)
                if problem is not None:
                    report.left(record, "invalid", f"it would fail: {problem}")
                elif queues.sources.of(record) is None:
                    report.left(record, "not_sent", unnamed(record))
                elif dry_run:
                    report.left(record, "would_replay", "")
                else:
                    transfer.add(record, record.message)
    report.summary()
    return report.complete or dry_run


def _unsent(file: Path, journal: Journal, report: Report[Record]) -> Iterator[Record]:
    """What no run has sent, each message once."""
    seen: set[bytes] = set()
    for record in read(file):
        key = bytes.fromhex(record.id)
        if key in seen or not journal.has(record.id):
            report.left(record, "sent_before", "")
            continue
        seen.add(key)
        yield record


@contextmanager
def _new_file(path: Path) -> Iterator[IO[str]]:
    """Under another name until it is complete; `Refused` if there is such a file."""
    if str(path) == "-":
        yield sys.stdout
        return
    if path.exists():
        raise Refused(f"{path} exists: choose another name")
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with _created(part) as lines:
            yield lines
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _read(selection: Selection, inspection: Scan, path: Path | None) -> list[str]:
    """The ids of what is to be deleted, all of it on disk if there is a path."""
    ids = []
    with _backup(path) as lines, progress_bar("reading", inspection.attributes.visible) as advance:
        for letter in selection.choose(inspection):
            if lines is not None:
                lines.write(to_line(letter) + "\n")
            ids.append(letter.id)
            advance(1)
    return ids


@contextmanager
def _backup(path: Path | None) -> Iterator[IO[str] | None]:
    """On disk at the end of the context; gone if that ends with an exception."""
    if path is None:
        yield None
        return
    with _created(path) as lines:
        try:
            yield lines
        except BaseException:
            _discard(path)
            raise
        lines.flush()
        os.fsync(lines.fileno())


def _created(path: Path) -> IO[str]:
    try:
        return create(path)
    except FileExistsError:
        raise Refused(f"{path} exists: choose another name") from None
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None


def _discard(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)


def _confirmed(count: int, path: Path | None) -> bool:
    """Without a copy left if the answer is none."""
    copy = f"a copy is in {path}" if path else "there is no copy"
    try:
        return click.confirm(f"Delete {count} dead letters ({copy})?", err=True)
    except BaseException:
        _discard(path)
        raise


def _delete(held: HeldMessages, ids: Sequence[str]) -> int:
    """Returns how many are still there. Raises `SqsError`."""
    left = 0
    with progress_bar("deleting", len(ids)) as advance:
        for start in range(0, len(ids), BATCH_ENTRIES):
            batch = ids[start : start + BATCH_ENTRIES]
            left += len(let_go(held, batch))
            advance(len(batch))
    return left
