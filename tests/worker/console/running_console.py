"""The console in the tests' own process, which costs no start; and as a process, where that is the point."""

import asyncio
import os
import re
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from threading import Thread
from types import TracebackType
from typing import Self
from unittest.mock import patch
from urllib.parse import parse_qs, quote, urlsplit

from uvicorn import Server

from tests.support.captured_logs import LogLine
from tests.support.wait import wait_until
from tests.support.worker_process import WorkerProcess
from worker.cli.commands.console import opened
from worker.console import server
from worker.console.app import application
from worker.console.sessions import Door, Tokens
from worker.settings import ConsoleSettings

START_TIMEOUT = 30.0  # seconds
LOG_TIMEOUT = 20.0  # seconds

DEFAULTS = {"CONSOLE_ADDRESS": "127.0.0.1:0", "CONSOLE_REFRESH_SECONDS": "1", "WORKER_URLS": "http://127.0.0.1:1"}

_links = re.compile(r"(?:the console is at|which works once:) (http://\S+)").findall


class ConsoleThread:
    """`signup-sync console` on a free port, put together and served as by the command, in threads of the tests' own.

    As a context manager it serves; at the end it has released everything. `log` is where `captured_logs` writes.
    """

    def __init__(self, environment: dict[str, str], log: list[LogLine], door: Door | None = None) -> None:
        """`environment` is complete: see `worker_environment`. `door` is what opens it, if it is not the token."""
        self._environment = {**DEFAULTS, **environment}
        self._running = ExitStack()
        self.log = log
        self.token = secrets.token_urlsafe(32)
        self._door = door or Tokens(self.token)
        self.address = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # boto3 looks at the environment when a client is made, and not again.
            with patch.dict(os.environ, self._environment, clear=True):
                settings = ConsoleSettings.from_environment()
                console = stack.enter_context(opened(settings, self._door))
            listener = stack.enter_context(server.listen(*settings.console_address))
            http = server.http_server(application(console))
            thread = Thread(target=asyncio.run, args=[http.serve([listener])], name="http")
            thread.start()
            stack.callback(_stop, http, thread)
            wait_until(lambda: http.started or not thread.is_alive(), START_TIMEOUT, "the console does not serve")
            assert http.started
            self.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def link(self) -> str:
        return f"{self.address}/login?token={quote(self.token)}"

    def audit(self) -> list[LogLine]:
        """The lines of the audit log, so far."""
        return [line for line in self.log if line["event"] == "audit"]

    def wait_for_audit(self, what: str) -> LogLine:
        """Wait until a job that may go on behind its page has written this; return the newest such line."""

        def found() -> list[LogLine]:
            return [line for line in self.audit() if line["what"] == what]

        return wait_until(found, LOG_TIMEOUT, f"no {what} in the audit log")[-1]


StartConsole = Callable[..., ConsoleThread]
"""The fixture `start_console`."""


def _stop(http: Server, thread: Thread) -> None:
    http.should_exit = True
    thread.join()


class ConsoleProcess(WorkerProcess):
    """`signup-sync console`, on a free port. As a context manager it is started, and serves."""

    def __init__(self, environment: dict[str, str]) -> None:
        """`environment` is complete: see `worker_environment`."""
        super().__init__("console", environment={**DEFAULTS, **environment}, module="tests.worker.console.signup_sync")

    def __enter__(self) -> Self:
        super().__enter__()
        wait_until(lambda: _links(self.stderr) or not self.running, START_TIMEOUT, "the console does not serve")
        assert self.running, self
        return self

    @property
    def link(self) -> str:
        """The newest that it has printed."""
        found = _links(self.stderr)
        assert found, self
        return str(found[-1])

    @property
    def address(self) -> str:
        return self.link.partition("/login")[0]

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.link).query)["token"][0]
