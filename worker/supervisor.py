"""Supervisor of several workers that are started and stopped as one: `signup-sync worker --processes 4`.

One process uses one core, however many threads it has. Each of these is a whole worker that shares nothing with the
others but the queue and the database. When one of them fails the others are stopped too, and whoever runs the worker
starts all of it anew, as after a failure of a single one.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat

import structlog

from worker.settings import environment_with
from worker.signals import SIGNALS, take_signals

log = structlog.get_logger()

Process = subprocess.Popen[bytes]


def worker_command(*arguments: str) -> list[str]:
    """What starts a worker that stops when its standard input ends. So none outlives its supervisor, even if that is
    killed."""
    return [sys.executable, "-P", "-m", "worker", *arguments, "--supervised"]


def run_processes(command: Sequence[str], settings: Sequence[Mapping[str, str]]) -> int:
    """Run the command for each of the settings (which come on top of the environment), until all have ended.

    SIGTERM and SIGINT are passed on. Returns the exit status of the first that failed, else 0.
    """
    happened: queue.SimpleQueue[Process | int] = queue.SimpleQueue()  # ends and signals, in their order
    take_signals(repeat(happened.put))
    processes = [_start(command, environment_with(own), happened) for own in settings]
    return _until_ended(processes, happened)


def stop_with_input(stop: Callable[[], None]) -> None:
    """Call `stop` when standard input ends, that is when the process that started this one has ended."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        stop()

    threading.Thread(target=wait, name="input", daemon=True).start()


def _start(
    command: Sequence[str], environment: Mapping[str, str], happened: "queue.SimpleQueue[Process | int]"
) -> Process:
    # It begins with our signals blocked, and takes them when it can stop cleanly (`take_signals`): else one that comes
    # while it starts would end it as a failure.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        # A group of its own: Ctrl-C reaches it once, by way of us.
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, process_group=0)  # noqa: S603 (ourselves)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def wait() -> None:
        process.wait()
        happened.put(process)

    threading.Thread(target=wait, daemon=True).start()
    return process


def _until_ended(processes: Sequence[Process], happened: "queue.SimpleQueue[Process | int]") -> int:
    running = list(processes)
    status = 0
    while running:
        this = happened.get()
        if isinstance(this, int):
            _signal(running, this)
            continue
        running.remove(this)
        if this.returncode and not status:
            log.error("process_failed", number=processes.index(this), exit_status=this.returncode)
            status = this.returncode if this.returncode > 0 else 1
            _signal(running, signal.SIGTERM)
    return status


def _signal(processes: Sequence[Process], number: int) -> None:
    for process in processes:
        process.send_signal(number)
