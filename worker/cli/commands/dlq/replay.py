"""`signup-sync dlq replay`."""

from collections.abc import Iterable

import click

from signup_sync.sqs import SqsError
from worker.aws.sqs import MoveTasks
from worker.cli.commands.dlq import options
from worker.cli.commands.dlq.formats import add_letter, echo_json, letters_table
from worker.cli.commands.dlq.queues import Queues, check_pair, inspecting, open_move_tasks, open_queues
from worker.cli.commands.dlq.report import Report
from worker.cli.interrupts import Interrupted
from worker.cli.progress import progress_bar
from worker.cli.refused import Refused
from worker.dead_letters import redrive
from worker.dead_letters.dead_letter import DeadLetter, Selection
from worker.dead_letters.replay import came_back, reason_to_leave
from worker.dead_letters.requeue import Requeue
from worker.dead_letters.scan import Scan
from worker.dead_letters.source_queues import unnamed


@click.command
@options.selection
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
@click.option("--force", is_flag=True, help="Send also what would fail again at once.")
@options.rate
@options.as_json
def replay(selection: Selection, dry_run: bool, force: bool, rate: float | None, as_json: bool) -> None:
    """Send dead letters back to the queue that each came from.

    What the worker would refuse at once is left where it is, and named. What is sent is the original event, without
    the attributes that say why it failed, and its attempts start anew. It is deleted here when SQS has acknowledged
    it there; a replay that is cut off can just be run again, since writing an event twice does no harm. What fails
    again while this runs is left for the next time.

    --force without a filter leaves it to SQS (StartMessageMoveTask), where SQS can and the role may, and the events
    queue is the only source of these dead letters: it moves everything as it is, the failure attributes with it, which
    the worker does not mind. Everywhere else, messages are received, sent and deleted in tens.

    Exit status 1 says that something was left that would not work, or could not be sent.

    \b
    Examples:
      signup-sync dlq replay --dry-run
      signup-sync dlq replay --reason unknown_author --rate 50
      signup-sync dlq replay --id 5fea7756-0ea4-451a-a703-a558b933e274
    """
    queues = open_queues()
    check_pair(queues)
    if dry_run:
        _show(queues, selection, force=force, as_json=as_json)
        return
    if selection.is_everything and force and _moved_by_sqs(queues, rate, as_json=as_json):
        return
    if not _replay(queues, selection, force=force, rate=rate, as_json=as_json):
        raise SystemExit(1)


def _replay(queues: Queues, selection: Selection, *, force: bool, rate: float | None, as_json: bool) -> bool:
    with inspecting(queues.dead_letters) as inspection:
        expected = inspection.attributes.visible if selection.is_everything else None
        with progress_bar("replaying", expected) as advance:
            report = Report[DeadLetter](advance, as_json=as_json)
            with Requeue(queues.sources, inspection.held, report.result, rate) as transfer:
                for letter in _sendable(queues, selection.choose(inspection), inspection, report, force=force):
                    transfer.add(letter, letter.original())
    report.summary()
    return report.complete


def _sendable(
    queues: Queues, letters: Iterable[DeadLetter], inspection: Scan, report: Report[DeadLetter], *, force: bool
) -> Iterable[DeadLetter]:
    began = inspection.attributes.answered_at
    for letter in letters:
        reason = came_back(letter, began) if force else reason_to_leave(letter, began)
        if reason is not None:
            report.left(letter, *reason)
        elif queues.sources.of(letter) is None:
            report.left(letter, "not_sent", unnamed(letter))
        else:
            yield letter


def _show(queues: Queues, selection: Selection, *, force: bool, as_json: bool) -> None:
    table = letters_table()
    with inspecting(queues.dead_letters) as inspection:
        report = Report[DeadLetter](lambda _: None, as_json=as_json)
        for letter in _sendable(queues, selection.choose(inspection), inspection, report, force=force):
            report.left(letter, "would_replay", "")
            if not as_json:
                add_letter(table, letter)
    report.summary()


def _moved_by_sqs(queues: Queues, rate: float | None, *, as_json: bool) -> bool:
    """Whether it was SQS that did it."""
    source = queues.dead_letters.describe()
    tasks = open_move_tasks(source.arn)
    if queues.sources.activities is not None or not _of_one_queue(queues):
        return False  # it would move all of them to one
    if not redrive.start(tasks, queues.sources.events.describe().arn, rate):
        return False
    moved = _follow(tasks, source.visible)
    if as_json:
        echo_json({"outcome": "moved_by_sqs", "messages": moved})
    else:
        click.echo(f"moved by SQS: {moved}")
    return True


def _of_one_queue(queues: Queues) -> bool:
    """Whether the events queue alone has its dead letters here; False if SQS does not say."""
    try:
        return queues.dead_letters.source_names() == {queues.sources.events.name}
    except SqsError:
        return False


def _follow(tasks: MoveTasks, expected: int) -> int:
    moved = 0
    try:
        with progress_bar("moved by SQS", expected) as advance:
            for task in redrive.follow(tasks):
                advance(task.moved - moved)
                moved = task.moved
                if task.status == "FAILED":
                    raise Refused(f"SQS stopped after {moved} messages: {task.failure_reason or 'no reason given'}")
    except Interrupted:
        redrive.cancel(tasks)
        click.echo(f"signup-sync: interrupted: about {moved} messages were moved, the rest is where it was", err=True)
        raise
    return moved
