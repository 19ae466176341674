"""Is it well? What the first page says, and when."""

import re
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import boto3

from tests.support.dlq import Dlq
from tests.support.events import sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.sqs import REGION, Queues
from tests.support.tcp_proxy import TcpProxy
from tests.support.wait import wait_until
from tests.worker.console.operator import Operator
from tests.worker.console.running_console import ConsoleThread, StartConsole
from tests.worker.console.status_server import StatusServer
from tests.worker.telemetry.running_telemetry import commit, delivery, message, running_telemetry


def status(**others: Any) -> dict[str, Any]:
    """Of a worker that is well, and always has been: a minute may end while the page is made."""
    now = datetime.now(UTC)
    return {
        "version": "1.2.3",
        "started_at": (now - timedelta(hours=3)).isoformat(),
        "paused_since": None,
        "pause_reason": None,
        "in_flight": 7,
        "lag_seconds": {"p50": 0.04, "p95": 0.2, "p99": 1.5},
        "per_minute": [
            {
                "minute": (now - timedelta(minutes=ago)).isoformat(),
                "received": 100 if ago == 30 else 40,
                "committed": 30,
            }
            for ago in range(-10, 70)
        ],
        **others,
    }


def overview(console: ConsoleThread) -> str:
    """What it says, as soon as all that it says is known."""
    operator = Operator(console.address).log_in(console.token)

    def words() -> str | None:
        found = operator.get("/").words
        return None if "has not answered yet" in found or "being read" in found else found

    return wait_until(words, 60, "the system has not answered") or ""


def test_all_is_well_when_workers_and_database_answer_and_nothing_failed(start_console: StartConsole) -> None:
    with StatusServer(status()) as first, StatusServer(status(in_flight=5)) as second:
        words = overview(start_console(WORKER_URLS=f"{first.url},{second.url}"))

    assert "Is it well?" in words
    assert "Yes." in words
    assert re.search(r"working 1\.2\.3 3h(\d+s)? 7", words)
    assert "0.04s 95 %: 0.2s · 99 %: 1.5s" in words
    assert "Written a minute 60 in the last whole minute, 3,600 in the hour 100 50 0" in words


def test_what_a_worker_says_of_itself_is_shown_as_it_is(start_console: StartConsole) -> None:
    with running_telemetry() as worker:
        worker.in_flight = 3
        console = start_console(WORKER_URLS=f"http://{worker.address}")
        assert f"{worker.address} working {version('signup-sync')}" in overview(console)
        assert "Nothing was written in the last hour" in overview(console)
        worker.happens.received([message("ada"), message("bob")])
        worker.happens.committed(commit(delivery("ada"), delivery("bob")))

        operator = Operator(console.address).log_in(console.token)
        wait_until(lambda: "2 in the hour" in operator.get("/").words, 60, "it is asked only once")


def test_a_worker_that_waits_for_the_database_is_shown_with_since_when_and_why(start_console: StartConsole) -> None:
    since = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    with StatusServer(status(paused_since=since, pause_reason="connection refused")) as worker:
        words = overview(start_console(WORKER_URLS=worker.url))

    assert "No. Worker 127.0.0.1:" in words
    assert "waits for the database, since 5m" in words
    assert "(connection refused)" in words


def test_what_does_not_answer_as_a_worker_is_shown_as_that(start_console: StartConsole) -> None:
    with StatusServer(None) as broken, StatusServer({"hello": "world"}) as other, StatusServer(status()) as worker:
        words = overview(start_console(WORKER_URLS=f"{broken.url},{other.url},{worker.url}"))

    assert "It works, and something needs attention. 2 of 3 workers do not answer." in words
    assert "no answer it answers with status 503" in words
    assert "no answer what answers there is no worker" in words


def test_a_worker_that_does_not_know_the_name_it_is_asked_by_is_to_be_told(start_console: StartConsole) -> None:
    with StatusServer(None, error=421) as worker:
        words = overview(start_console(WORKER_URLS=worker.url))

    assert "no answer it needs 127.0.0.1 in ADMIN_HOSTS" in words


def test_without_a_worker_that_answers_it_is_unknown_whether_one_writes(console: ConsoleThread) -> None:
    words = overview(console)

    assert "something needs attention. No worker answers where WORKER_URLS says" in words
    assert "whether one is writing is unknown" in words


def test_without_a_worker_that_answers_and_with_messages_that_wait_it_is_not_well(
    queues: Queues, start_console: StartConsole
) -> None:
    queues.send(sign_up("ada"))

    words = overview(start_console())

    assert "No. No worker answers where WORKER_URLS says" in words
    assert "1 message waits in the queue" in words
    assert "no answer it does not answer (Connection refused)" in words


def test_a_name_without_an_address_means_that_no_worker_is_registered(start_console: StartConsole) -> None:
    assert "the name has no address" in overview(start_console(WORKER_URLS="http://workers.invalid:9090"))


def test_dead_letters_are_counted_by_why_they_failed(start_console: StartConsole, dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"), sign_up("grace"), reason="invalid_event")
    dlq.fill(sign_up("linus"), reason=None)
    with StatusServer(status()) as worker:
        words = overview(start_console(WORKER_URLS=worker.url))

    assert "3 messages have failed for good" in words
    assert "invalid_event tried in vain 2" in words
    assert "worker_crashed tried in vain 1" not in words
    assert re.search(r"worker_crashed 1 \d+s ago 1", words)


def test_what_waits_in_the_queue_is_counted_and_its_age_is_neither_made_up_nor_a_headline(
    start_console: StartConsole, queues: Queues
) -> None:
    queues.send(sign_up("ada"), sign_up("grace"))

    words = overview(start_console())

    assert "Waiting in the queue 2" in words
    assert "CONSOLE_CLOUDWATCH=true asks CloudWatch" in words
    assert "Oldest in the queue" not in words


def test_a_database_that_is_away_is_said_to_be_on_each_page_that_needs_it(
    start_console: StartConsole, postgres: Postgres, empty_database_url: str
) -> None:
    with StatusServer(status()) as worker, TcpProxy(postgres.port) as network:
        console = start_console(database_url=network.through(empty_database_url), WORKER_URLS=worker.url)
        assert "Yes." in overview(console)
        operator = Operator(console.address).log_in(console.token)
        assert operator.get("/feed").status == 503  # not migrated
        network.down()

        wait_until(
            lambda: "The database does not answer the console" in operator.get("/").words, 60, "it is not noticed"
        )
        feed, user = operator.get("/feed"), operator.get("/users?id=ada")

    assert (feed.status, "The database does not answer" in feed.words) == (503, True)
    assert (user.status, "The table could not be asked" in user.words) == (200, True)


def test_sqs_that_is_away_is_said_to_be(start_console: StartConsole, proxy: FaultProxy) -> None:
    with StatusServer(status()) as worker:
        console = start_console(endpoint_url=proxy.endpoint_url, WORKER_URLS=worker.url)
        operator = Operator(console.address).log_in(console.token)
        proxy.down()

        wait_until(lambda: "SQS does not answer" in operator.get("/").words, 60, "it is not noticed")
        wait_until(lambda: "The queue cannot be read" in operator.get("/letters").words, 60, "it is not noticed there")


def test_cloudwatch_is_asked_for_the_age_of_the_oldest_event_if_that_is_wanted(
    start_console: StartConsole, queues: Queues
) -> None:
    queues.send(sign_up("ada"))
    cloudwatch = boto3.client(
        "cloudwatch",
        endpoint_url=queues.endpoint_url,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    cloudwatch.put_metric_data(
        Namespace="AWS/SQS",
        MetricData=[
            {
                "MetricName": "ApproximateAgeOfOldestMessage",
                "Dimensions": [{"Name": "QueueName", "Value": queues.events_url.rpartition("/")[2]}],
                "Timestamp": datetime.now(UTC) - timedelta(minutes=2),
                "Value": 4000.0,
            }
        ],
    )
    cloudwatch.close()
    endpoint = {"AWS_ENDPOINT_URL_CLOUDWATCH": queues.endpoint_url, "CONSOLE_CLOUDWATCH": "true"}
    nobody = {**endpoint, "AWS_ENDPOINT_URL_CLOUDWATCH": f"http://127.0.0.1:{free_port()}"}

    assert "Oldest in the queue 1h6m by CloudWatch" in overview(start_console(**endpoint))
    assert "last whole minute 0 CloudWatch: EndpointConnectionError" in overview(start_console(**nobody))
