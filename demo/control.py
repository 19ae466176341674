"""Control of a demo that is left running, from other terminals.

A request is an empty file in the demo's directory; the demo does what it says, and then removes it.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from worker.cli.refused import Refused

STOP_DATABASE = "stop-database"
START_DATABASE = "start-database"
SEND_BROKEN = "send-broken"

LOOKS = 0.1  # seconds between two looks at whether it was done
PATIENCE = 60.0  # seconds, longer than Postgres may take to stop

_ENDED = "the demo of these settings has ended; make demo KEEP=1 starts another, which has settings of its own"


def ask(directory: Path, request: str) -> None:
    """Ask the demo with this directory, and return when it was done. Raises `Refused` if nobody does it."""
    file = directory / request
    try:
        file.touch()
    except FileNotFoundError:
        raise Refused(_ENDED) from None
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}") from None
    deadline = time.monotonic() + PATIENCE
    while file.exists():
        if time.monotonic() > deadline:
            raise Refused(f"the demo of {directory} has not answered for {PATIENCE:g} seconds: is it still there?")
        time.sleep(LOOKS)
    if not directory.exists():
        raise Refused(_ENDED)


def answer(directory: Path, actions: Mapping[str, Callable[[], None]]) -> None:
    """Do what is asked for in this directory, by the names of the requests."""
    for request, act in actions.items():
        file = directory / request
        if file.exists():
            act()
            file.unlink()
