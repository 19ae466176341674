"""Signals that ask a process to stop, none of which is missed.

A handler in Python runs between two instructions of the main thread: one whose signal comes after the last look and
before a read or a lock begins to wait runs only when that wait ends. What the interpreter writes to the wakeup file
descriptor it writes at once (Python documentation, "signal": `set_wakeup_fd`), so a thread waits for that.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterable

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def take_signals(calls: Iterable[Callable[[int], object]]) -> None:
    """Call the first with the number of the first signal, the next with that of the next, in a thread of their own.

    Signals that were blocked until now are unblocked. Main thread only (`ValueError`).
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in SIGNALS:
        signal.signal(number, lambda _number, _frame: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def run() -> None:
        for call in calls:
            [number] = os.read(reader, 1)
            call(number)

    threading.Thread(target=run, name="signals", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
