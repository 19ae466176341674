"""The queues, and a look at the one of the dead letters."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from worker.aws.sqs import IN_FLIGHT, MoveTasks, Queue, connect
from worker.cli.interrupts import Interrupted
from worker.cli.refused import Refused
from worker.dead_letters.dead_letter_queue import DeadLetterQueue
from worker.dead_letters.held_messages import LANES
from worker.dead_letters.requeue import LANES as TRANSFER_LANES
from worker.dead_letters.scan import RECEIVERS, WAIT, Scan
from worker.dead_letters.source_queues import SourceQueues
from worker.settings import QueuesSettings
from worker.source_queue import SETTINGS

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

MANY = 5000  # messages, for which releasing takes its time


@dataclass(frozen=True, slots=True)
class Queues:
    sources: SourceQueues
    dead_letters: DeadLetterQueue


def open_queues() -> Queues:
    """The queues that the settings name. Raises `InvalidSettings`, `SqsError` and `Refused`."""
    settings = QueuesSettings.from_environment()
    return queues_of(settings, connect(wait_seconds=WAIT, connections=RECEIVERS + LANES + TRANSFER_LANES))


def queues_of(settings: QueuesSettings, client: "SQSClient") -> Queues:
    """The queues that these settings name. Raises `Refused`."""
    urls = settings.source_urls
    for source, url in urls.items():
        if url == settings.dlq_url:
            raise Refused(
                f"{SETTINGS[source]} and DLQ_URL are the same queue: DLQ_URL should be that of the dead letters"
            )
    if settings.activities_queue_url == settings.queue_url:
        raise Refused("ACTIVITIES_QUEUE_URL and QUEUE_URL are the same queue")
    sources = SourceQueues({source: Queue(url, client) for source, url in urls.items()})
    return Queues(sources, DeadLetterQueue(settings.dlq_url, client, settings.queue_url))


def open_move_tasks(source_arn: str) -> MoveTasks:
    """One attempt a call: where SQS is imitated it would only be told again that there are none."""
    return MoveTasks(source_arn, connect(attempts=1))


def check_pair(queues: Queues) -> None:
    """That dead letters of these events are here: `Refused` if a source queue's are elsewhere. Raises `SqsError`."""
    for source, queue in queues.sources:
        named = queue.describe().dead_letter_arn
        if named is not None and named != queues.dead_letters.describe().arn:
            elsewhere = named.rpartition(":")[2]
            raise Refused(f"DLQ_URL is not the dead-letter queue of {SETTINGS[source]}, which is {elsewhere}")


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
