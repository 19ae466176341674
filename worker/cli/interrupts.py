"""Interrupts: SIGINT and SIGTERM as an exception in the main thread, so that a command can give back what it holds."""

import signal
from types import FrameType


class Interrupted(SystemExit):
    """Somebody wants the command to end. The exit status is a shell's for that signal: 130 or 143."""


def install() -> None:
    """From now on both signals raise `Interrupted`; the second one while the first is being dealt with, too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(number: int, _: FrameType | None) -> None:
    raise Interrupted(128 + number)
