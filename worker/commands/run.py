"""`signup-sync worker`."""

import os
import signal
from types import FrameType

import click

from worker import logs
from worker.consumer import Consumer
from worker.settings import WorkerSettings


@click.command
@click.option(
    "--once", "--drain", "until_empty", is_flag=True, help="Stop when the queue has been empty for one long poll."
)
def worker(until_empty: bool) -> None:
    """Write what is in the events queue into the database, until stopped.

    Needs QUEUE_URL, DLQ_URL, DATABASE_URL and the standard AWS variables. SIGTERM and Ctrl-C stop it: it commits what
    it has begun, returns the rest to the queue and exits 0 within 25 seconds; on a quiet queue it first waits for the
    end of its long poll, at most RECEIVE_WAIT_SECONDS. A second Ctrl-C ends it at once; then what it holds is visible
    again after the queue's visibility timeout, and nothing is lost either way.

    \b
    Examples:
      signup-sync worker
      signup-sync worker --once
      LOG_LEVEL=debug MAX_LINGER_MS=20 signup-sync worker
    """
    settings = WorkerSettings.from_environment()
    logs.configure(settings.log_level, settings.log_format)
    consumer = Consumer(settings, until_empty=until_empty)

    def stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, leave)
        consumer.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    failed = not consumer.run()
    # Without waiting for threads that are still busy: what they hold is SQS's again.
    os._exit(1 if failed else 0)


def leave(number: int, _: FrameType | None) -> None:
    """The second signal: at once."""
    os._exit(128 + number)
