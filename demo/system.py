"""The system that the demo shows: Postgres, SQS, the Lambda and the worker, each in a process of its own."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, TypeVar

from demo import interrupts
from tests.support import command
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.sqs import Queues, SqsServer, aws_environment, create_queues
from tests.support.wait import wait_until
from tests.support.worker_process import LogLine, WorkerProcess, worker_environment
from tests.trigger_lambda.container import Container
from tests.worker.console.running_console import ConsoleProcess

T = TypeVar("T")

DATABASE = "demo"
TIMEOUT = 20.0  # seconds: the longest wait for one thing, on a machine that has much else to do
MAX_RECEIVE_COUNT = 8  # what the deployed queue has by default (deploy/stacks/queues.yaml)
WORKER_SETTINGS = {
    "LOG_LEVEL": "debug",
    "RECEIVE_WAIT_SECONDS": "1",  # when it is stopped it waits for the end of its long poll
}
CONSOLE_SETTINGS = {"CONSOLE_REFRESH_SECONDS": "5"}  # somebody looks at what has happened just now


class CommandFailed(Exception):
    """A command of `signup-sync` ended with an error, which the text quotes."""


class System:
    """As a context manager it starts the servers; its end stops all that was started, and removes all that was made."""

    postgres: Postgres
    queues: Queues
    environment: dict[str, str]
    """What the worker, the console and the commands find in theirs."""
    _lambda: Container

    def __init__(self) -> None:
        self._parts = ExitStack()
        self._worker: WorkerProcess | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop and remove everything, undisturbed by further signals."""
        interrupts.ignore()
        self._parts.close()

    def run(self, *args: str) -> str:
        """What `signup-sync` with these arguments prints. Raises `CommandFailed`."""
        interrupts.check()
        ended = command.run(*args, environment=self.environment)
        if ended.returncode:
            raise CommandFailed(f"signup-sync {' '.join(args)}: {ended.stderr.strip()}")
        return ended.stdout

    def start_worker(self) -> None:
        self._worker = self._parts.enter_context(WorkerProcess(environment=self.environment))

    @property
    def worker(self) -> WorkerProcess:
        assert self._worker is not None, "the worker was not started"
        return self._worker

    def start_console(self) -> ConsoleProcess:
        """Start it, and return when it serves."""
        return self._parts.enter_context(ConsoleProcess({**self.environment, **CONSOLE_SETTINGS}))

    def directory(self) -> Path:
        """A new directory, which goes with the system."""
        return Path(self._parts.enter_context(TemporaryDirectory(prefix="signup-sync-demo-")))

    def invoke(self, event: dict[str, Any]) -> float:
        """Invoke the Lambda as Cognito does, and return how many seconds it took."""
        ended = self._lambda.invoke(event)
        assert ended.returned == event, f"the Lambda did not return its event: {ended}"
        assert not ended.log, f"the Lambda has logged an error: {ended.log}"
        return ended.seconds

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return self.postgres.execute(statement, database=DATABASE)

    def dead_letters(self) -> list[dict[str, Any]]:
        """What `signup-sync dlq list` knows of each."""
        return [json.loads(line) for line in self.run("dlq", "list", "--json").splitlines()]

    def logged(self, event: str, **fields: object) -> LogLine:
        """The worker's last log line of this kind; empty if there is none so far."""
        lines = (line for line in reversed(self.worker.events(event)) if fields.items() <= line.items())
        return next(lines, {})

    def wait(self, condition: Callable[[], T], what: str) -> T:
        """What `condition` returns, once that is true; `AssertionError` if it takes too long, or the worker ends."""

        def checked() -> T:
            interrupts.check()
            assert self._worker is None or self._worker.running, "the worker has ended"
            return condition()

        try:
            return wait_until(checked, TIMEOUT, "it took too long")
        except AssertionError as error:
            raise AssertionError(f"there was no sign of {what}: {error}\n{self._worker or ''}") from None

    def _start(self) -> None:
        interrupts.check()
        with ThreadPoolExecutor() as threads:  # the two that take their time
            postgres = threads.submit(self._parts.enter_context, Postgres())
            sqs = threads.submit(self._parts.enter_context, SqsServer())
        self.postgres = postgres.result()
        endpoint_url = sqs.result().endpoint_url
        interrupts.check()
        self.queues = create_queues(endpoint_url, max_receive_count=MAX_RECEIVE_COUNT)
        self._parts.enter_context(closing(self.queues))
        variables = {**aws_environment(endpoint_url), "QUEUE_URL": self.queues.events_url}
        self._lambda = self._parts.enter_context(Container(variables))
        url = self.postgres.create_database(DATABASE)
        admin_address = f"127.0.0.1:{free_port()}"
        settings = {"ADMIN_ADDRESS": admin_address, "WORKER_URLS": f"http://{admin_address}"}
        self.environment = worker_environment(url, self.queues, settings={**WORKER_SETTINGS, **settings})
