"""`signup-sync` as its own process, as an operator runs it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

TIMEOUT = 60.0  # seconds, far more than any command here needs

_COMMAND = Path(sys.executable).with_name("signup-sync")


def command_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a command: of the tests' own it gets `PATH`, and nothing else.

    An empty setting is left out.
    """
    given = {name: value for name, value in settings.items() if value}
    return {"PATH": os.environ.get("PATH", os.defpath), **given}


def run(*args: str, environment: Mapping[str, str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [_COMMAND, *args],
        env=dict(environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        start_new_session=True,  # Ctrl-C is for the tests
    )


def start(*args: str, environment: Mapping[str, str], stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """Start a command that the test ends: a context manager that closes its streams."""
    return subprocess.Popen(
        [_COMMAND, *args],
        env=dict(environment),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run_on_terminal(
    *args: str, environment: Mapping[str, str], stdin: str = "", stdout_too: bool = True
) -> tuple[int, str, str]:
    """Run a command whose standard error is a terminal, and its standard output `stdout_too`.

    Returns the exit status, what the terminal got and what went into the pipe.
    """
    terminal, other_end = os.openpty()
    with subprocess.Popen(
        [_COMMAND, *args],
        env={"TERM": "xterm", **environment},
        stdin=subprocess.PIPE,
        stdout=other_end if stdout_too else subprocess.PIPE,
        stderr=other_end,
        text=True,
        start_new_session=True,
    ) as process:
        os.close(other_end)
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        piped = process.stdout.read() if process.stdout else ""
        seen = read_to_end(terminal)
        status = process.wait(TIMEOUT)
    os.close(terminal)
    return status, seen, piped


def read_to_end(terminal: int) -> str:
    """What a terminal gets until nobody has its other end open any more."""
    seen = b""
    try:
        while chunk := os.read(terminal, 65536):
            seen += chunk
    except OSError:  # Linux's way to say that nobody has the other end open any more
        pass
    return seen.decode()
