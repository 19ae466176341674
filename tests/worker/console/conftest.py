"""Consoles on the test's queues and database, and the operators who use them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.captured_logs import captured_logs
from tests.support.sqs import Queues
from tests.support.worker_process import worker_environment
from tests.worker.console.operator import Operator
from tests.worker.console.running_console import ConsoleProcess, ConsoleThread, StartConsole
from worker.console.sessions import Door


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="Write docs/screenshots anew.")


@pytest.fixture
def console_environment(database_url: str, queues: Queues) -> Callable[..., dict[str, str]]:
    """The environment of a console on the test's own queues and database, unless others are given."""
    own_queues, own_database_url = queues, database_url

    def make(
        *, queues: Queues = own_queues, database_url: str = own_database_url, endpoint_url: str = "", **settings: str
    ) -> dict[str, str]:
        return worker_environment(database_url, queues, endpoint_url=endpoint_url or None, settings=settings)

    return make


@pytest.fixture
def start_console(console_environment: Callable[..., dict[str, str]]) -> Iterator[StartConsole]:
    """Start a console in the tests' own process: `start_console(CONSOLE_READ_ONLY="true", endpoint_url=...)`."""
    with ExitStack() as stack:
        log = stack.enter_context(captured_logs())

        def start(door: Door | None = None, **options: Any) -> ConsoleThread:
            return stack.enter_context(ConsoleThread(console_environment(**options), log, door))

        yield start


@pytest.fixture
def start_console_process(
    console_environment: Callable[..., dict[str, str]],
) -> Iterator[Callable[..., ConsoleProcess]]:
    """Start a console as an operator does: `start_console_process(CONSOLE_TOKEN=...)`."""
    with ExitStack() as stack:

        def start(**options: Any) -> ConsoleProcess:
            return stack.enter_context(ConsoleProcess(console_environment(**options)))

        yield start


@pytest.fixture
def console(start_console: StartConsole) -> ConsoleThread:
    return start_console()


@pytest.fixture
def operator(console: ConsoleThread) -> Operator:
    """Somebody who has logged in as Grace."""
    return Operator(console.address).log_in(console.token)
