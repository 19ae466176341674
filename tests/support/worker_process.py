"""The worker as its own process, as an operator runs it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.support.orphan_guard import OrphanGuard
from tests.support.sqs import Queues, aws_environment

EXIT_TIMEOUT = 30.0  # seconds: the worker promises 25

_ROOT = Path(__file__).parents[2]

LogLine = dict[str, Any]


def worker_environment(
    database_url: str,
    queues: Queues,
    *,
    endpoint_url: str | None = None,
    settings: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The whole environment of a worker: of the tests' own it gets `PATH` and `SQS_CLIENT`, and nothing else.

    `endpoint_url` is where it finds SQS, if not where `queues` do: a proxy, for example.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "DATABASE_URL": database_url,
        **queues.settings,
        "ADMIN_ADDRESS": "off",  # there are many workers, and one port by default
        "SQS_CLIENT": os.environ.get("SQS_CLIENT", "lean"),
        **aws_environment(endpoint_url or queues.endpoint_url),
        **(settings or {}),
    }


class WorkerProcess:
    """Runs `python -m worker` with the given arguments, and reads its log.

    As a context manager it starts the worker, and kills it at the end unless it has exited. A worker never outlives
    the tests, however they end. An object runs its worker once.
    """

    def __init__(self, *args: str, environment: Mapping[str, str], module: str = "worker") -> None:
        """`environment` is complete: see `worker_environment`."""
        self._command = [sys.executable, "-m", module, *args]
        self._environment = dict(environment)
        self._process: subprocess.Popen[str] | None = None
        self._guard: OrphanGuard | None = None
        self._readers: list[threading.Thread] = []
        self._changed = threading.Condition()  # guards what follows
        self._log: list[LogLine] = []
        self._lines: list[str] = []
        self._errors: list[str] = []
        self._output: list[str] = []  # both, in order
        self._open_streams = 0

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()
            self.wait()

    @property
    def pid(self) -> int:
        """Of the worker's process."""
        return self._started.pid

    @property
    def running(self) -> bool:
        """Whether the worker has been started and has not exited."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> list[LogLine]:
        """The lines of its standard output that are JSON objects, so far."""
        with self._changed:
            return list(self._log)

    @property
    def lines(self) -> list[str]:
        """The lines of its standard output that are not."""
        with self._changed:
            return list(self._lines)

    @property
    def stderr(self) -> str:
        """Its standard error, so far."""
        with self._changed:
            return "".join(self._errors)

    def events(self, name: str) -> list[LogLine]:
        """The log lines whose `event` is `name`, so far."""
        return [line for line in self.log if line.get("event") == name]

    def start(self) -> None:
        """Start the worker, and return at once."""
        if self._process is not None:
            raise RuntimeError("this worker was started before")
        self._process = subprocess.Popen(
            self._command,
            cwd=_ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests
        )
        self._guard = OrphanGuard(self._process.pid)
        self._read(self._process.stdout, self._take_output)
        self._read(self._process.stderr, self._take_error)

    def wait_for(self, event: str, timeout: float = 20.0, *, nth: int = 1) -> LogLine:
        """Wait up to `timeout` seconds until `event` has been logged `nth` times, and return that line.

        Lines from before the call count. Fails with all that the worker said, as soon as it has exited without.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while len(found := self.events(event)) < nth:
                remaining = deadline - time.monotonic()
                if not self._open_streams or remaining <= 0:
                    reason = f"waited {timeout:g} s" if self._open_streams else "it has exited"
                    raise AssertionError(f"the worker has logged {event!r} {len(found)} times: {reason}\n{self}")
                self._changed.wait(remaining)
        return found[nth - 1]

    def terminate(self) -> None:
        """Ask it to stop, as ECS does."""
        self._started.send_signal(signal.SIGTERM)

    def interrupt(self) -> None:
        """Ask it to stop, as Ctrl-C does."""
        self._started.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it without a word (`kill -9`). No error if it has exited."""
        self._started.kill()

    def wait(self, timeout: float = EXIT_TIMEOUT) -> int:
        """Wait up to `timeout` seconds until it exits and return its status, negative for a signal."""
        try:
            status = self._started.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker has not exited (waited {timeout:g} s)\n{self}") from None
        for reader in self._readers:
            reader.join()
        if self._guard is not None:
            self._guard.close()
        return status

    def __str__(self) -> str:
        """All that the worker said, for the message of a test that failed."""
        with self._changed:
            output = "".join(self._output)
        return f"{' '.join(self._command[1:])}\n-- stdout\n{output}-- stderr\n{self.stderr}"

    @property
    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the worker was not started")
        return self._process

    def _read(self, stream: IO[str] | None, take: Callable[[str], None]) -> None:
        """Read a stream line by line, in a thread, until it ends."""
        assert stream is not None

        def run() -> None:
            with stream:
                for line in stream:
                    with self._changed:
                        take(line)
                        self._changed.notify_all()
            with self._changed:
                self._open_streams -= 1
                self._changed.notify_all()

        self._open_streams += 1
        reader = threading.Thread(target=run, daemon=True)
        reader.start()
        self._readers.append(reader)

    def _take_output(self, line: str) -> None:
        self._output.append(line)
        try:
            parsed = json.loads(line)
        except ValueError:
            parsed = None
        if isinstance(parsed, dict):
            self._log.append(parsed)
        else:
            self._lines.append(line.rstrip("\n"))

    def _take_error(self, line: str) -> None:
        self._errors.append(line)


StartWorker = Callable[..., WorkerProcess]
"""The fixture `start_worker`."""
