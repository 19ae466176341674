"""`signup-sync worker`."""

import gc
import os

import click

from worker.cli import plain_structlog  # noqa: F401 (before anything that imports structlog)

# isort: split
from worker.assembly import Worker, check_queues
from worker.cli import logs
from worker.cli.refused import Refused
from worker.environment import MAX_PROCESSES
from worker.settings import WorkerSettings
from worker.signals import take_signals
from worker.supervisor import run_processes, stop_with_input, worker_command
from worker.text import pause_in_words


@click.command
@click.option(
    "--processes",
    type=click.IntRange(1, MAX_PROCESSES),
    help="Run as many workers as one, to use more than one core; instead of the setting PROCESSES.",
)
@click.option(
    "--once", "--drain", "until_empty", is_flag=True, help="Stop when the queue has been empty for one long poll."
)
@click.option("--supervised", is_flag=True, hidden=True)
def worker(processes: int | None, until_empty: bool, supervised: bool) -> None:
    """Write what is in the events queue into the database, until stopped.

    Needs QUEUE_URL, DLQ_URL, DATABASE_URL and the standard AWS variables; ACTIVITIES_QUEUE_URL names a second queue, of
    which it takes activities and nothing else.

    SIGTERM and Ctrl-C stop it: it commits what it has begun, returns the rest to the queue and exits 0 within 25
    seconds; on a quiet queue it first waits for the end of its long poll, at most RECEIVE_WAIT_SECONDS. A second Ctrl-C
    ends it at once; then what it holds is visible again after the queue's visibility timeout, and nothing is lost
    either way.

    While the workers are paused (signup-sync pause) it receives nothing, and after signup-sync resume it goes on by
    itself. With --once it does not wait for that: it says who has paused them, and ends with exit status 2.

    Each of several processes is a worker by itself, with connections, limits and an admin server of its own: the first
    at ADMIN_ADDRESS, the next at the port above, and so on. If one fails, all end.

    \b
    Examples:
      signup-sync worker
      signup-sync worker --once
      signup-sync worker --processes 2
      LOG_LEVEL=debug BATCH_SIZE=500 signup-sync worker
    """
    settings = WorkerSettings.from_environment()
    logs.configure(settings.log_level, settings.log_format, pid=os.getpid() if supervised else None)
    count = processes or settings.processes
    if count > 1 and not supervised:
        check_queues(settings)
        own = [{"ADMIN_ADDRESS": settings.admin_address_of(number)} for number in range(count)]
        os._exit(run_processes(worker_command(*["--once"] if until_empty else []), own))
    _run(Worker(settings, until_empty=until_empty), supervised=supervised)


def _run(consumer: Worker, *, supervised: bool) -> None:
    take_signals([lambda _: consumer.stop(), _leave])
    if supervised:
        stop_with_input(consumer.stop)
    _tame_garbage_collector()
    failed = not consumer.run()
    if consumer.ended_by:
        pause = pause_in_words(consumer.ended_by)
        Refused(f"all workers are {pause}; nothing more was received; signup-sync resume ends the pause").show()
        os._exit(Refused.exit_code)
    # Without waiting for threads that are still busy: what they hold is SQS's again.
    os._exit(1 if failed else 0)


def _tame_garbage_collector() -> None:
    """What there is by now stays, so it need not be looked at again and again, which stops all threads for 50 ms; and
    what a batch makes is gone with it, without a collection (Python documentation, "gc": `freeze`, `set_threshold`)."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _leave(number: int) -> None:
    os._exit(128 + number)
