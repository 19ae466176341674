"""The admin server: what it answers, to whom, and that it is in nobody's way."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime

import pytest

from tests.support.admin import ADMIN, address, get, status
from tests.support.events import activity, sign_up
from tests.support.sqs import Queues
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess
from worker.settings import AdminSettings, InvalidSettings
from worker.telemetry.admin_server import REQUESTS_AT_ONCE


@contextmanager
def taken(port: int = 0) -> Iterator[int]:
    """A port that somebody listens on: we, unless somebody else has it."""
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            assert port
        yield port or listener.getsockname()[1]


def test_a_worker_at_rest_is_alive_and_ready(start_worker: StartWorker) -> None:
    worker = start_worker(**ADMIN)

    assert get(worker, "/livez") == (200, "text/plain; charset=utf-8", "alive\n")
    wait_until(lambda: get(worker, "/readyz").status == 200, 10, "it is not ready")


def test_a_page_that_does_not_exist_names_those_that_do(start_worker: StartWorker) -> None:
    worker = start_worker(**ADMIN)

    assert get(worker, "/") == (404, "text/plain; charset=utf-8", "there are: /livez /metrics /readyz /status\n")


def test_the_status_counts_the_last_hour_minute_by_minute(queues: Queues, start_worker: StartWorker) -> None:
    worker = start_worker(**ADMIN)
    queues.send(sign_up("ada"), sign_up("bob"), "{broken", activity("nobody"))
    wait_until(lambda: status(worker)["committed_total"] == 2, 20, "two are not committed")
    wait_until(lambda: status(worker)["retried_total"], 20, "none is put off")

    now = status(worker)

    assert now["version"] == "0.1.0"
    assert datetime.fromisoformat(now["started_at"]) <= datetime.fromisoformat(worker.log[-1]["timestamp"])
    assert (now["paused_since"], now["pause_reason"], now["dead_lettered_total"]) == (None, None, 1)
    assert now["received_total"] >= 4
    assert 0 <= now["in_flight"] <= 4
    minutes = now["per_minute"]
    assert sum(minute["received"] for minute in minutes) == now["received_total"]
    assert sum(minute["committed"] for minute in minutes) == 2
    assert [minute["minute"] for minute in minutes] == sorted(minute["minute"] for minute in minutes)
    lag = now["lag_seconds"]
    assert 0 < lag["p50"] <= lag["p95"] <= lag["p99"]


def test_nothing_has_a_lag_before_the_first_commit(start_worker: StartWorker) -> None:
    assert status(start_worker(**ADMIN))["lag_seconds"] == {"p50": None, "p95": None, "p99": None}


def test_a_worker_without_metrics_has_the_other_pages(start_worker: StartWorker) -> None:
    worker = start_worker(METRICS="off", **ADMIN)

    assert get(worker, "/metrics").status == 404
    assert get(worker, "/livez").status == 200
    assert status(worker)["received_total"] == 0


def test_an_address_that_was_asked_for_and_is_taken_stops_the_start(start_worker: StartWorker) -> None:
    with taken() as port:
        worker = start_worker(ADMIN_ADDRESS=f"127.0.0.1:{port}", wait=False)

        assert worker.wait() == 2

    [line] = worker.stderr.splitlines()
    assert f"ADMIN_ADDRESS 127.0.0.1:{port} cannot be used (Address already in use)" in line
    assert line.endswith("choose another, or off")


def test_a_second_worker_on_a_machine_works_without_the_default_address(
    queues: Queues, start_worker: StartWorker
) -> None:
    with taken(9090):
        worker = start_worker(ADMIN_ADDRESS="")
        queues.send(sign_up("ada"))
        worker.wait_for("batch_committed")

    assert "ADMIN_ADDRESS 127.0.0.1:9090" in worker.wait_for("admin_off")["reason"]
    assert worker.wait_for("started")["admin_address"] is None


def test_clients_that_say_nothing_are_hung_up_on(start_worker: StartWorker) -> None:
    worker = start_worker(**ADMIN)
    host, _, port = address(worker).partition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(REQUESTS_AT_ONCE + 4)]
    try:
        wait_until(lambda: answers(worker), 20, "nobody else gets an answer")
        for connection in silent:
            connection.settimeout(10)
            with closing(connection):
                assert connection.recv(1) == b""
    finally:
        for connection in silent:
            connection.close()


def answers(worker: WorkerProcess) -> bool:
    try:
        return get(worker, "/livez").status == 200
    except OSError:  # hung up on, as all places are taken
        return False


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), ("worker.local:9090", ("worker.local", 9090))],
)
def test_an_address_is_a_host_and_a_port(text: str, parsed: tuple[str, int]) -> None:
    assert AdminSettings.from_environment({"ADMIN_ADDRESS": text}).admin == parsed


def test_an_address_that_is_off_is_none() -> None:
    assert AdminSettings.from_environment({"ADMIN_ADDRESS": "off"}).admin is None


@pytest.mark.parametrize("text", ["9090", ":9090", "localhost", "localhost:", "localhost:x", "localhost:65536", "on"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^ADMIN_ADDRESS should be a host and a port, .*, or off$"):
        AdminSettings.from_environment({"ADMIN_ADDRESS": text})
