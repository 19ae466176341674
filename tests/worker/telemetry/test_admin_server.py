"""The admin server: what it answers, to whom, and that it is in nobody's way."""

import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from importlib.metadata import version

import pytest

from db.tables.worker_pause import WorkerPause
from tests.support.admin import ADMIN, get, status
from tests.support.captured_logs import captured_logs
from tests.support.sqs import Queues
from tests.support.wait import wait_until
from tests.worker.telemetry.running_telemetry import (
    RunningTelemetry,
    commit,
    delivery,
    message,
    running_telemetry,
    worker_settings,
)
from worker.aws.sqs import Queue
from worker.settings import AdminSettings, InvalidSettings
from worker.telemetry.admin_server import MAX_THREADS, REQUESTS_AT_ONCE, AdminServer, Page, text
from worker.telemetry.instrumentation import Waiting

BY_GRACE = WorkerPause(datetime(2026, 1, 31, 12, tzinfo=UTC), "grace", "failover\x1b is tested")


@pytest.fixture
def telemetry() -> Iterator[RunningTelemetry]:
    with running_telemetry() as running:
        yield running


@contextmanager
def taken() -> Iterator[str]:
    """An address at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_it_is_ready_while_the_gate_is_open_and_alive_all_the_time(telemetry: RunningTelemetry) -> None:
    at = telemetry.address
    plain = "text/plain; charset=utf-8"
    telemetry.gate_is_open = False
    assert get(at, "/readyz") == (503, plain, "waiting for the database: not yet\n")

    telemetry.gate_is_open = True
    assert get(at, "/readyz") == (200, plain, "ready\n")

    telemetry.gate_is_open = False
    telemetry.happens.paused("connection refused")
    assert get(at, "/readyz") == (503, plain, "waiting for the database: connection refused\n")
    assert get(at, "/livez") == (200, plain, "alive\n")


def test_a_page_that_does_not_exist_names_those_that_do(telemetry: RunningTelemetry) -> None:
    answer = get(telemetry.address, "/")

    assert answer == (404, "text/plain; charset=utf-8", "there are: /livez /metrics /readyz /status\n")


def test_the_status_counts_the_last_hour_minute_by_minute(telemetry: RunningTelemetry) -> None:
    ada, bob = delivery("ada"), delivery("bob")
    telemetry.happens.received([message("ada"), message("bob"), message("eve"), message("nobody")])
    telemetry.happens.committed(commit(ada, bob, new={"ada", "bob"}))
    telemetry.happens.dead_lettered(delivery("eve"), "invalid_event")
    telemetry.happens.retried(delivery("nobody"), "unknown_author")
    telemetry.in_flight = 1

    now = status(telemetry.address)

    minutes = now.pop("per_minute")
    assert now.pop("outages") == []
    lag = now.pop("lag_seconds")
    assert datetime.fromisoformat(now.pop("started_at")) <= datetime.now(UTC)
    assert now == {
        "version": version("signup-sync"),
        "paused_since": None,
        "pause_reason": None,
        "pause": None,
        "waiting": [],
        "in_flight": 1,
        "received_total": 4,
        "committed_total": 2,
        "retried_total": 1,
        "dead_lettered_total": 1,
    }
    assert sum(minute["received"] for minute in minutes) == 4
    assert sum(minute["committed"] for minute in minutes) == 2
    assert [minute["minute"] for minute in minutes] == sorted(minute["minute"] for minute in minutes)
    assert 0 < lag["p50"] <= lag["p95"] <= lag["p99"]


def test_the_status_has_how_much_waits_in_the_queue(queues: Queues) -> None:
    queues.send("one", "two")
    with running_telemetry(queues={"events": Queue(queues.events_url, queues.client)}) as telemetry:
        wait_until(
            lambda: {minute["visible"] for minute in status(telemetry.address)["per_minute"]} >= {2}, 60, "not asked"
        )


def test_the_status_remembers_the_outages_of_the_last_hour(telemetry: RunningTelemetry) -> None:
    telemetry.happens.paused("connection refused")
    [outage] = status(telemetry.address)["outages"]
    telemetry.happens.resumed()

    [over] = status(telemetry.address)["outages"]
    assert (outage["until"], outage["reason"]) == (None, "connection refused")
    assert datetime.fromisoformat(over["until"]) >= datetime.fromisoformat(outage["since"])


def test_the_status_says_since_when_and_why_it_waits_and_when_it_does_no_more(telemetry: RunningTelemetry) -> None:
    telemetry.happens.paused("connection refused")
    paused = status(telemetry.address)
    telemetry.happens.resumed()
    resumed = status(telemetry.address)

    assert datetime.fromisoformat(paused["paused_since"]) >= datetime.fromisoformat(paused["started_at"])
    assert paused["pause_reason"] == "connection refused"
    assert (resumed["paused_since"], resumed["pause_reason"]) == (None, None)


def test_a_pause_says_by_whom_since_when_and_why_and_the_worker_is_alive(telemetry: RunningTelemetry) -> None:
    at = telemetry.address
    telemetry.happens.paused_by_operator(BY_GRACE)
    paused, ready, alive = status(at), get(at, "/readyz"), get(at, "/livez")
    telemetry.happens.paused("connection refused")
    telemetry.gate_is_open = False
    both = status(at)
    still = get(at, "/readyz")
    telemetry.happens.resumed_by_operator()
    resumed = status(at)

    since = "2026-01-31T12:00:00Z"
    assert paused["pause"] == {"since": since, "who": "grace", "reason": "failover\x1b is tested"}
    assert (paused["paused_since"], paused["pause_reason"]) == (None, None)
    assert (ready.status, ready.text) == (503, f"paused by grace since {since}: failover\\u001b is tested\n")
    assert still == ready
    assert alive.status == 200
    assert (both["pause_reason"], both["pause"]) == ("connection refused", paused["pause"])
    assert resumed["pause"] is None


def test_the_status_says_what_waits_since_when_and_until_when(telemetry: RunningTelemetry) -> None:
    telemetry.waiting = [
        Waiting("unknown_author", 3, waited=600.0, left=90.0),
        Waiting("unknown_parent", 1, waited=0.0, left=1.0),
    ]
    began = datetime.now(UTC).replace(microsecond=0)

    authors, parents = status(telemetry.address)["waiting"]

    late = datetime.now(UTC)
    assert (authors["reason"], authors["messages"]) == ("unknown_author", 3)
    assert (parents["reason"], parents["messages"]) == ("unknown_parent", 1)
    assert began <= datetime.fromisoformat(authors["since"]) + timedelta(seconds=600) <= late
    assert began <= datetime.fromisoformat(authors["until"]) - timedelta(seconds=90) <= late
    assert authors.keys() == {"reason", "messages", "since", "until"}


def test_nothing_has_a_lag_before_the_first_commit(telemetry: RunningTelemetry) -> None:
    assert status(telemetry.address)["lag_seconds"] == {"p50": None, "p95": None, "p99": None}


def test_a_worker_without_metrics_has_the_other_pages() -> None:
    with running_telemetry(worker_settings(METRICS="off", **ADMIN)) as telemetry:
        assert get(telemetry.address, "/metrics").status == 404
        assert get(telemetry.address, "/livez").status == 200
        assert status(telemetry.address)["received_total"] == 0


def test_an_address_that_was_asked_for_and_is_taken_stops_the_start() -> None:
    problem = r"^ADMIN_ADDRESS \S+ cannot be used \(Address already in use\): .*; choose another, or off$"
    with taken() as address, pytest.raises(InvalidSettings, match=problem):
        RunningTelemetry(worker_settings(ADMIN_ADDRESS=address))


def test_a_second_worker_on_a_machine_works_without_the_default_address() -> None:
    with taken() as address, captured_logs() as log:
        settings = worker_settings().model_copy(update={"admin_address": address})
        settings.model_fields_set.discard("admin_address")  # as if it were the default, which others may have taken
        with running_telemetry(settings) as telemetry:
            assert not telemetry.listens

    assert [(line["event"], address in line["reason"]) for line in log] == [("admin_off", True)]


@pytest.mark.process  # they have five seconds
def test_clients_that_say_nothing_are_hung_up_on(telemetry: RunningTelemetry) -> None:
    host, _, port = telemetry.address.partition(":")
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
            for _ in range(REQUESTS_AT_ONCE + 4)
        ]
        wait_until(lambda: answers(telemetry.address), 60, "nobody else gets an answer")
        for connection in silent:
            assert connection.recv(1) == b""


def asking(
    stack: ExitStack, address: str, count: int, text: bytes = b"", source: str = "127.0.0.1"
) -> list[socket.socket]:
    """Connections on which that was sent, from this machine or (127.0.0.2) as if from another."""
    host, _, port = address.partition(":")
    connections = []
    for _ in range(count):
        connection = socket.create_connection((host, int(port)), timeout=60, source_address=(source, 0))
        connections.append(stack.enter_context(connection))
        connection.sendall(text)
    return connections


@pytest.mark.process  # they have five seconds
def test_a_client_that_asks_a_byte_at_a_time_has_as_long_as_the_others(telemetry: RunningTelemetry) -> None:
    with ExitStack() as stack:
        [slow] = asking(stack, telemetry.address, 1, b"GET /livez HTTP/1.0\r\nX: ")
        hung_up = threading.Event()

        def drip() -> None:
            while not hung_up.wait(0.2):
                with suppress(OSError):
                    slow.send(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        with suppress(ConnectionResetError):  # it is reset where bytes were not read any more
            assert slow.recv(1) == b""
        hung_up.set()
        dripping.join()


def test_who_comes_takes_the_place_of_who_is_slow(telemetry: RunningTelemetry) -> None:
    with ExitStack() as stack:
        slow = asking(stack, telemetry.address, REQUESTS_AT_ONCE, b"GET /livez HT")

        assert get(telemetry.address, "/livez").status == 200

        assert slow[0].recv(1) == b""


def test_who_asks_from_this_machine_needs_no_place_that_others_have() -> None:
    """Not even if they have all of them, and are not slow: their answers are."""
    go_on = threading.Event()

    def slow_page(_: str) -> tuple[HTTPStatus, str, bytes]:
        go_on.wait(60)
        return text(HTTPStatus.OK, "slow")

    with (
        serving({"/slow": slow_page, "/livez": lambda _: text(HTTPStatus.OK, "alive")}) as address,
        ExitStack() as stack,
    ):
        others = asking(stack, address, MAX_THREADS + 1, b"GET /slow HTTP/1.0\r\n\r\n", source="127.0.0.2")
        assert get(address, "/livez").text == "alive\n"
        assert others[-1].recv(1) == b""
        go_on.set()


@contextmanager
def serving(pages: dict[str, Page], hosts: Collection[str] = ()) -> Iterator[str]:
    server = AdminServer("127.0.0.1", 0, pages, hosts)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.address
    finally:
        server.stop()
        thread.join()


@pytest.mark.parametrize("head", [b"GET /" + b"x" * 20_000, b"GET / HTTP/1.0\r\n" + b"X: y\r\n" * 5000])
def test_a_request_without_end_is_not_read_to_the_end(telemetry: RunningTelemetry, head: bytes) -> None:
    with ExitStack() as stack, suppress(ConnectionError):
        [endless] = asking(stack, telemetry.address, 1, head)
        assert endless.recv(1) == b""


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:9090",
        "[::1]:9090",
        "10.0.3.7",
        "localhost:9090",
        "worker",
        "worker.internal:9090",
        "worker.signup-sync.local",
        "Worker.Example.com:9090",
        "worker.example.com.",
    ],
)
def test_it_answers_to_addresses_private_names_and_the_ones_it_was_given(host: str) -> None:
    with serving({"/livez": lambda _: text(HTTPStatus.OK, "alive")}, {"worker.example.com"}) as address:
        assert get(address, "/livez", {"Host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9090", "worker.internal.evil.example", "127.0.0.1.evil"]
)
@pytest.mark.parametrize("page", ["/status", "/metrics", "/livez", "/"])
def test_it_does_not_answer_to_a_name_that_anybody_could_have(
    telemetry: RunningTelemetry, host: str, page: str
) -> None:
    """It would be that of a web page which has its reader's browser ask (DNS rebinding)."""
    answer = get(telemetry.address, page, {"Host": host})

    line = "not by this name: ask by an IP address, or add the name to ADMIN_HOSTS\n"
    assert (answer.status, answer.text) == (421, line)


def test_it_answers_to_the_host_that_it_listens_on_and_to_those_of_the_setting() -> None:
    settings = worker_settings(**ADMIN, ADMIN_HOSTS="worker.example.com")
    with running_telemetry(settings) as telemetry:
        assert get(telemetry.address, "/livez", {"Host": "worker.example.com:9090"}).status == 200
        assert get(telemetry.address, "/livez", {"Host": "other.example.com:9090"}).status == 421


def test_a_request_of_no_browser_needs_no_host(telemetry: RunningTelemetry) -> None:
    with ExitStack() as stack:
        [old] = asking(stack, telemetry.address, 1, b"GET /livez HTTP/1.0\r\n\r\n")
        assert old.recv(100).startswith(b"HTTP/1.0 200 OK")


def answers(address: str) -> bool:
    try:
        return get(address, "/livez").status == 200
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
