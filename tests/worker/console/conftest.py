"""Consoles on the test's queues and database, and the operators who use them."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.sqs import Queues
from tests.worker.console.operator import ConsoleProcess, Operator, StartConsole


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="Write docs/screenshots anew.")


@pytest.fixture
def start_console(request: pytest.FixtureRequest) -> Iterator[StartConsole]:
    """Start a console on the test's own queues and database: `start_console(CONSOLE_READ_ONLY="true")`."""
    with ExitStack() as stack:

        def start(*, queues: Queues | None = None, database_url: str | None = None, **settings: str) -> ConsoleProcess:
            return stack.enter_context(
                ConsoleProcess(
                    database_url or request.getfixturevalue("database_url"),
                    queues or request.getfixturevalue("queues"),
                    settings,
                )
            )

        yield start


@pytest.fixture
def console(start_console: StartConsole) -> ConsoleProcess:
    return start_console()


@pytest.fixture
def operator(console: ConsoleProcess) -> Operator:
    """Somebody who has logged in as Grace."""
    return Operator(console.address).log_in(console.token)
