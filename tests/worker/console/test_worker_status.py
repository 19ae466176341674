"""What answers at WORKER_URLS may be anything: it is no worker then, and never more than that."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.listener import Listener
from tests.worker.console.test_overview import status
from worker.console.charts import charts
from worker.console.formats import age, duration, moment, number
from worker.console.worker_status import WorkerSeen, ask_workers, last_hour, slowest

NO_WORKER = "what answers there is no worker"


@contextlib.contextmanager
def answering(handle: Callable[[socket.socket], None]) -> Iterator[WorkerSeen]:
    """What is seen of a server that handles its connection like that."""
    listener = Listener(handle)
    listener.up()
    try:
        with ThreadPoolExecutor(2) as executor:
            [seen] = ask_workers([f"http://127.0.0.1:{listener.port}"], executor)
            yield seen
    finally:
        listener.down()


def saying(answer: bytes) -> Callable[[socket.socket], None]:
    def handle(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    return handle


def page(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)


def of_status(**others: Any) -> bytes:
    return page(json.dumps(status(**others)).encode())


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xfe\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}",
        page(b"[" * 200_000),
        page(b'{"a":' * 200_000),
        page(b"9" * 5000),
        page(b"\xff"),
        page(b"[]"),
        of_status(in_flight=int("9" * 400)),
        of_status(in_flight=-1),
        of_status(lag_seconds={"p50": float("nan")}),
        of_status(lag_seconds={"p99": float("inf")}),
        of_status(lag_seconds={"p99": -1}),
        of_status(started_at="0001-01-01T00:00:00+14:00"),
        of_status(started_at="9999-12-31T23:59:59-14:00"),
        of_status(per_minute=[{"minute": "9999-12-31T23:59:59-14:00"}]),
        of_status(outages=[{"since": "0001-01-01T00:00:00+14:00"}]),
        of_status(waiting=[{"reason": "x", "messages": 10**400, "since": "2026-01-31T12:00:00Z", "until": 0}]),
        page(b'{"version": "' + b"x" * 300_000 + b'"}'),
    ],
)
def test_what_is_no_status_is_no_worker(answer: bytes) -> None:
    with answering(saying(answer)) as seen:
        assert (seen.status, seen.problem) == (None, NO_WORKER)


def test_another_status_is_said() -> None:
    with answering(saying(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as seen:
        assert (seen.status, seen.problem) == (None, "it answers with status 404")


@pytest.mark.process
@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_an_answer_that_never_ends_is_none(begin: bytes) -> None:
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(begin)
        for _ in range(200):  # which would be 20 seconds
            connection.sendall(b"H")
            if over.wait(0.1):
                return

    with answering(drip) as seen:
        over.set()

    assert (seen.status, seen.problem) == (None, "it does not answer (TimeoutError)")


def test_the_extremes_that_a_status_may_have_can_be_shown() -> None:
    most = 10**15
    since = "1970-01-01T00:00:00+14:00"
    until = "9000-12-31T23:59:59-14:00"
    answer = of_status(
        started_at=until,
        in_flight=most,
        lag_seconds={"p50": 0, "p95": 1e-300, "p99": 1e10},
        per_minute=[
            {"minute": datetime.now(UTC).isoformat(), "committed": most, "visible": most, "lag_seconds": {"p99": 1e10}}
        ],
        outages=[{"since": since, "until": until}, {"since": until, "until": since}],
        waiting=[{"reason": "x", "messages": most, "since": since, "until": until}],
    )
    with answering(saying(answer)) as seen:
        assert seen.status is not None, seen
        hour = last_hour([seen, seen], datetime.now(UTC))
        assert len(charts(hour)) == 3
        lag = slowest([seen])
        for value in (lag.p50, lag.p95, lag.p99):
            assert duration(value)
        for time in (seen.status.started_at, seen.status.waiting[0].since, seen.status.waiting[0].until):
            assert age(time)
            assert moment(time)
        assert number(seen.status.in_flight) == "1,000,000,000,000,000"


def test_a_name_that_no_resolver_takes_has_no_address() -> None:
    with ThreadPoolExecutor(2) as executor:
        [seen] = ask_workers([f"http://{'x' * 300}:9090"], executor)

    assert seen.status is None
    assert "the name has no address" in seen.problem
