"""Ctrl-C and its like end the demo by way of its cleaning up, which they do not interrupt."""

import signal
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(SystemExit):
    """Somebody wants the demo to end. The exit status is a shell's for that signal, 130 for Ctrl-C."""


_interruption: Interrupted | None = None


def interruption() -> Interrupted | None:
    """What the first signal has raised. It may arise inside of a lock's own code (`threading.Condition`), which then
    fails in its own words: whatever is raised after it is its consequence."""
    return _interruption


def install() -> None:
    """The first signal from now on raises `Interrupted` in the main thread, and those after it do nothing.

    What was ignored when we were started (by nohup, for example) stays so, but for Ctrl-C.
    """
    for number in _SIGNALS:
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def ignore() -> None:
    """From now on they do nothing: what is under way is the end."""
    for number in _SIGNALS:
        # Not SIG_IGN, which a process that is being started at this moment would inherit.
        signal.signal(number, _do_nothing)


def _interrupt(number: int, _: FrameType | None) -> None:
    global _interruption  # noqa: PLW0603 (a signal handler has no other place)
    ignore()
    _interruption = Interrupted(128 + number)
    raise _interruption


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """The end is near already."""
