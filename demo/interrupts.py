"""Ctrl-C and its like end the demo by way of its cleaning up, which they do not interrupt."""

import signal
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(SystemExit):
    """Somebody wants the demo to end. The exit status is a shell's for that signal, 130 for Ctrl-C."""


_noted: list[int] = []


def install() -> None:
    """The first signal from now on is noted, for `check`; those after it do nothing.

    A handler that raises would do so anywhere: inside of a lock's own code, which then stays locked, or where
    exceptions are ignored. What was ignored when we were started (by nohup, for example) stays so, but for Ctrl-C.
    """
    for number in _SIGNALS:
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _note)


def check() -> None:
    """Raise `Interrupted` if there was a signal, once. Whatever takes long calls it now and then."""
    if interrupted := interruption():
        raise interrupted


def interruption() -> Interrupted | None:
    """What `check` would raise, for whoever comes before it: it raises that no more."""
    return Interrupted(128 + _noted.pop()) if _noted else None


def ignore() -> None:
    """From now on they do nothing: what is under way is the end."""
    for number in _SIGNALS:
        # Not SIG_IGN, which a process that is being started at this moment would inherit.
        signal.signal(number, _do_nothing)


def _note(number: int, _: FrameType | None) -> None:
    ignore()
    _noted.append(number)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """The end is near already."""
