"""A worker's telemetry without the worker: a test says what happens, and asks over HTTP what is told of it."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any

from db.tables.users import UsersInserted
from db.tables.written import Written
from signup_sync.events import parse_event
from tests.support.admin import ADMIN
from tests.support.events import sign_up
from worker.aws.sqs import Queue, Received
from worker.delivery import Delivery
from worker.settings import WorkerSettings
from worker.telemetry.backends import Sources, Telemetry
from worker.telemetry.instrumentation import Committed, Waiting

QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/signup-events"


def worker_settings(**variables: str) -> WorkerSettings:
    """Of a worker that is never started."""
    given = {"DATABASE_URL": "dbname=app", "QUEUE_URL": QUEUE_URL, "DLQ_URL": f"{QUEUE_URL}-dlq"}
    return WorkerSettings.from_environment({**given, **variables})


class RunningTelemetry:
    """`happens` is what the worker's parts tell; the other attributes are what they are asked for."""

    def __init__(self, settings: WorkerSettings, queues: Mapping[str, Queue] | None = None) -> None:
        self._telemetry = Telemetry(settings)
        self.happens = self._telemetry.instrumentation
        self.gate_is_open = True
        self.in_flight = 0
        self.waiting: list[Waiting] = []
        self.pool_statistics: dict[str, int] = {}
        self._telemetry.attach(
            Sources(
                gate_is_open=lambda: self.gate_is_open,
                in_flight=lambda: self.in_flight,
                waiting=lambda: self.waiting,
                pool_statistics=lambda: self.pool_statistics,
                queues=queues or {},
            )
        )
        self._threads = [Thread(target=run, name=name) for name, run in self._telemetry.threads]

    @property
    def address(self) -> str:
        """Of its admin server."""
        address = self._telemetry.admin_address
        assert address is not None
        return address

    @property
    def listens(self) -> bool:
        return self._telemetry.admin_address is not None

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._telemetry.stop()
        for thread in self._threads:
            thread.join()


@contextmanager
def running_telemetry(
    settings: WorkerSettings | None = None, queues: Mapping[str, Queue] | None = None
) -> Iterator[RunningTelemetry]:
    """With an admin server at a free port, unless the settings say something else."""
    telemetry = RunningTelemetry(settings or worker_settings(**ADMIN), queues)
    telemetry.start()
    try:
        yield telemetry
    finally:
        telemetry.stop()


def message(name: str, body: str = "{}", *, age: float = 0.0) -> Received:
    """As it is received `age` seconds after it was sent."""
    return Received(f"message-of-{name}", "receipt", body, 1, {}, time.time() - age)


def delivery(name: str, **attributes: Any) -> Delivery:
    """A sign-up in the worker's hands; `attributes` are the event's, besides those that every one has."""
    body = json.dumps({**json.loads(sign_up(name)), **attributes})
    result = Delivery(message(name, body), received_at=time.monotonic())
    result.event = parse_event(body)
    return result


def commit(*deliveries: Delivery, new: set[str] | None = None, seconds: float = 0.25) -> Committed:
    """The transaction of sign-ups, which are `new` to the table or have been there before."""
    began = deliveries[0].received_at
    inserted = UsersInserted(new if new is not None else set())
    return Committed(deliveries, Written(inserted), began=began, ended=began + seconds)
