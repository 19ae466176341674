"""The demo from its start to its end."""

import logging
import subprocess
from contextlib import suppress
from logging.handlers import MemoryHandler

import psycopg

from demo import interrupts
from demo.interrupts import Interrupted
from demo.keep import keep as keep_running
from demo.screen import Screen
from demo.story import Story
from demo.system import CommandFailed, System

INTERRUPTED = "Interrupted. Everything is stopped and removed."


class DemoFailed(Exception):
    """Something did not start, or did not happen; the text says what."""


def run(*, keep: bool) -> None:
    """Raises `DemoFailed`, and `Interrupted` unless it was only kept running; nothing is left in any case."""
    # Libraries complain when their work is interrupted. It is of interest only if the demo fails by itself.
    log = MemoryHandler(capacity=1000, flushLevel=logging.CRITICAL + 1)
    logging.getLogger().addHandler(log)
    screen = Screen()
    screen.title("signup-sync: Cognito sign-ups into Postgres by way of SQS")
    try:
        _show(screen, keep=keep)
    except Interrupted:
        screen.tell(INTERRUPTED)
        raise
    except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError, CommandFailed, psycopg.Error) as error:
        if interruption := interrupts.interruption():  # Ctrl-C ends initdb too, and that is what failed
            screen.tell(INTERRUPTED)
            raise interruption from None
        log.setTarget(logging.StreamHandler())
        log.flush()
        raise DemoFailed(error) from error
    screen.tell("Everything is stopped and removed.")


def _show(screen: Screen, *, keep: bool) -> None:
    screen.step("The parts start.")
    with System() as system:
        story = Story(system, screen)
        story.tell()
        if keep:
            with suppress(Interrupted):  # the end that was asked for
                keep_running(system, screen, story.cast)
        _stop_worker(system, screen)


def _stop_worker(system: System, screen: Screen) -> None:
    screen.plain()
    system.worker.terminate()
    status = system.worker.wait()
    assert status == 0, f"the worker has exited with status {status}\n{system.worker}"
    screen.tell("The worker was asked to stop, and has: exit status 0.")
