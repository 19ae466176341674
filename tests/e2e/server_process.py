"""Servers that run as child processes of a test: on the loopback, on a free port, and never longer than the test."""

import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.orphan_guard import OrphanGuard

START_TIMEOUT = 30.0  # seconds
STOP_TIMEOUT = 5.0  # seconds

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


class ServerProcess:
    """A server that listens on a port the system chose, and announces its address in what it prints."""

    def __init__(self, command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str]) -> None:
        self._command = command
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._guard = OrphanGuard(self._process.pid)
        self._lines: list[str] = []
        self._address: Future[str] = Future()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Of the server's process."""
        return self._process.pid

    @property
    def lines(self) -> list[str]:
        """What the server has printed until now."""
        return list(self._lines)

    @property
    def address(self) -> str:
        """The server's URL, without a path. Waits until the server listens."""
        return self._address.result(START_TIMEOUT)

    def stop(self) -> None:
        """End the server, by force if it does not go by itself."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._guard.close()
        self._reader.join()

    def _read(self) -> None:
        """Keep the pipe empty, so that a server that prints much is never held up by it."""
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.append(line)
                announced = ADDRESS.search(line)
                if announced and not self._address.done():
                    self._address.set_result(announced.group())
        if not self._address.done():
            self._address.set_exception(RuntimeError(f"{self._command} ended:\n{''.join(self._lines)}"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
