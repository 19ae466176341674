"""The two queues, and a look at the one of the dead letters."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from worker.aws.sqs import IN_FLIGHT, MoveTasks, Queue, connect
from worker.cli.interrupts import Interrupted
from worker.cli.refused import Refused
from worker.dead_letters.held_messages import LANES
from worker.dead_letters.requeue import LANES as TRANSFER_LANES
from worker.dead_letters.scan import RECEIVERS, WAIT, Scan
from worker.settings import QueuesSettings

MANY = 5000  # messages, for which releasing takes its time


@dataclass(frozen=True, slots=True)
class Queues:
    events: Queue
    dead_letters: Queue


def open_queues() -> Queues:
    """The queues that the settings name. Raises `InvalidSettings`, `SqsError` and `Refused`."""
    settings = QueuesSettings.from_environment()
    if settings.queue_url == settings.dlq_url:
        raise Refused("QUEUE_URL and DLQ_URL are the same queue: DLQ_URL should be that of the dead letters")
    client = connect(wait_seconds=WAIT, connections=RECEIVERS + LANES + TRANSFER_LANES)
    return Queues(Queue(settings.queue_url, client), Queue(settings.dlq_url, client))


def open_move_tasks(source_arn: str) -> MoveTasks:
    """One attempt a call: where SQS is imitated it would only be told again that there are none."""
    return MoveTasks(source_arn, connect(attempts=1))


def check_pair(queues: Queues) -> None:
    """That dead letters of these events are here: `Refused` if the events queue's are elsewhere. Raises `SqsError`."""
    named = queues.events.describe().dead_letter_arn
    if named is not None and named != queues.dead_letters.describe().arn:
        raise Refused(f"DLQ_URL is not the dead-letter queue of QUEUE_URL, which is {named.rpartition(':')[2]}")


@contextmanager
def inspecting(dead_letters: Queue) -> Iterator[Scan]:
    """An inspection that says, at its end, what the operator should know about it. Raises `SqsError`."""
    attributes = dead_letters.describe()
    if attributes.max_receive_count is not None:
        raise Refused(
            "the queue of DLQ_URL has a redrive policy of its own: each look counts as a receive, and would move"
            " messages on; is it the right queue?"
        )
    inspection = Scan(dead_letters, attributes)
    try:
        with inspection:
            try:
                yield inspection
                if inspection.at_limit:
                    _note(f"{IN_FLIGHT:,} messages can be in flight: there may be more that SQS did not show")
            finally:
                if len(inspection.held) >= MANY:
                    _note(f"releasing {len(inspection.held)} messages (Ctrl-C leaves them to their visibility timeout)")
        if inspection.elsewhere:
            _note(f"somebody else holds about {inspection.elsewhere} more: look again in a moment")
    except Interrupted:
        _note("interrupted" if inspection.unreleased else "interrupted: what was held is visible again")
        raise
    finally:
        if inspection.unreleased:
            _note(
                f"{inspection.unreleased} messages could not be released: they are visible again in"
                f" {inspection.lease} seconds at most"
            )


def _note(text: str) -> None:
    click.echo(f"signup-sync: {text}", err=True)
