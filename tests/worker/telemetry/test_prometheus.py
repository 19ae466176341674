"""What a worker has done is what its metrics say, for Prometheus and for CloudWatch."""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest

from db.migrations import migrate
from db.tables.activities import ActivitiesInserted
from db.tables.users import UsersInserted
from signup_sync.events import UserSignedUp
from tests.support.admin import ADMIN, get, samples
from tests.support.events import activity, sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.postgres import Postgres
from tests.support.sqs import Queues
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess
from worker.aws.sqs import Received
from worker.delivery import Delivery
from worker.telemetry.instrumentation import Committed
from worker.telemetry.measurements import Histogram, Measurements

# Amazon CloudWatch User Guide, "Specification: Embedded metric format", "Embedded metric format document schema".
EMF_SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "properties": {
                            "Namespace": {"type": "string", "minLength": 1, "maxLength": 1024},
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "type": "array",
                                    "minItems": 1,
                                    "maxItems": 30,
                                    "items": {"type": "string", "minLength": 1, "maxLength": 250},
                                },
                            },
                            "Metrics": {
                                "type": "array",
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "properties": {
                                        "Name": {"type": "string", "minLength": 1, "maxLength": 1024},
                                        "Unit": {"enum": ["Seconds", "Count", "None"]},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}

SIGN_UP, ACTIVITY = 'type="user.signed_up.v1"', 'type="activity.created.v1"'


def assert_metrics(worker: WorkerProcess, expected: dict[str, float]) -> None:
    """Wait until they have these values."""

    def differences() -> dict[str, tuple[float, float | None]]:
        found = samples(worker)
        return {name: (value, found.get(name)) for name, value in expected.items() if found.get(name) != value}

    try:
        wait_until(lambda: not differences(), 30, "the metrics say something else")
    except AssertionError as error:
        raise AssertionError(f"expected and found: {differences()}\n{worker}") from error


def test_each_outcome_is_counted(queues: Queues, start_worker: StartWorker) -> None:
    queues.send(sign_up("ada"), sign_up("bob"), activity("ada"), activity("nobody"), "{broken")
    worker = start_worker(**ADMIN)
    assert_metrics(worker, {f"signup_sync_committed_messages_total{{{SIGN_UP}}}": 2})
    queues.send(sign_up("ada"))

    assert_metrics(
        worker,
        {
            f"signup_sync_committed_messages_total{{{SIGN_UP}}}": 3,
            f"signup_sync_committed_messages_total{{{ACTIVITY}}}": 1,
            f"signup_sync_duplicate_messages_total{{{SIGN_UP}}}": 1,
            f"signup_sync_duplicate_messages_total{{{ACTIVITY}}}": 0,
            'signup_sync_dead_lettered_messages_total{reason="invalid_event"}': 1,
            'signup_sync_dead_lettered_messages_total{reason="unknown_type"}': 0,
            "signup_sync_released_messages_total": 0,
            "signup_sync_paused": 0,
        },
    )
    found = samples(worker)
    assert found['signup_sync_retried_messages_total{reason="unknown_author"}'] >= 1
    assert found["signup_sync_received_messages_total"] >= 6
    assert found["signup_sync_lag_seconds_count"] == 3, "a duplicate has no lag"
    assert found["signup_sync_batch_messages_sum"] == 4
    assert found["signup_sync_commit_seconds_sum"] > 0
    assert found["signup_sync_commit_seconds_count"] >= 2
    assert found['signup_sync_build_info{version="0.1.0"}'] == 1


def test_calls_to_sqs_are_counted_by_what_became_of_them(queues: Queues, start_worker: StartWorker) -> None:
    with FaultProxy(queues.endpoint_url) as proxy:
        proxy.fail("DeleteMessageBatch", status=403, code="AccessDeniedException", times=1)
        worker = start_worker(endpoint_url=proxy.endpoint_url, **ADMIN)
        queues.send(sign_up("ada"))

        assert_metrics(
            worker,
            {
                'signup_sync_sqs_calls_total{operation="DeleteMessageBatch",outcome="AccessDeniedException"}': 1,
                'signup_sync_sqs_calls_total{operation="DeleteMessageBatch",outcome="ok"}': 1,
                'signup_sync_sqs_calls_total{operation="SendMessageBatch",outcome="ok"}': 0,
            },
        )
        worker.terminate()
        worker.wait()


def test_the_depth_of_both_queues_is_known(queues: Queues, start_worker: StartWorker) -> None:
    queues.client.send_message(QueueUrl=queues.dlq_url, MessageBody="dead")
    worker = start_worker(**ADMIN)

    assert_metrics(
        worker,
        {
            'signup_sync_queue_messages{queue="dead_letters",state="visible"}': 1,
            'signup_sync_queue_messages{queue="dead_letters",state="in_flight"}': 0,
            'signup_sync_queue_messages{queue="events",state="visible"}': 0,
        },
    )


def test_a_queue_that_cannot_be_asked_has_no_depth_and_one_line_in_the_log(
    queues: Queues, start_worker: StartWorker
) -> None:
    with FaultProxy(queues.endpoint_url) as proxy:
        worker = start_worker(endpoint_url=proxy.endpoint_url, wait=False, **ADMIN)
        # The worker asks each once before it starts.
        wait_until(lambda: proxy.calls["GetQueueAttributes"] == 2, 20, "it does not start")
        proxy.fail("GetQueueAttributes", status=403, code="AccessDeniedException")
        worker.wait_for("queue_depth_unknown")

        assert 'signup_sync_queue_messages{queue="events",state="visible"}' not in samples(worker)
        worker.terminate()
        worker.wait()


def test_an_outage_is_seen_and_its_end(own_postgres: Postgres, queues: Queues, start_worker: StartWorker) -> None:
    url = own_postgres.create_database("app")
    migrate(url)
    worker = start_worker(database_url=url, **ADMIN)
    queues.send(sign_up("ada"))
    assert_metrics(worker, {"signup_sync_paused": 0, f"signup_sync_committed_messages_total{{{SIGN_UP}}}": 1})
    found = samples(worker)
    assert found["signup_sync_oldest_received_message_age_seconds"] >= 0
    assert 1 <= found["signup_sync_pool_connections"] <= found["signup_sync_pool_max_connections"] == 2
    assert found["signup_sync_pool_requests_total"] == 1

    own_postgres.stop()
    queues.send(sign_up("bob"))

    assert_metrics(worker, {"signup_sync_paused": 1, "signup_sync_released_messages_total": 1})
    # Nobody knows, while nothing is received.
    assert "signup_sync_oldest_received_message_age_seconds" not in samples(worker)
    own_postgres.start()
    assert_metrics(worker, {"signup_sync_paused": 0, f"signup_sync_committed_messages_total{{{SIGN_UP}}}": 2})


def test_what_prometheus_asks_for_it_gets(start_worker: StartWorker) -> None:
    worker = start_worker(**ADMIN)

    answer = get(worker, "/metrics", {"Accept": "application/openmetrics-text;version=1.0.0"})

    assert answer.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


def emf(worker: WorkerProcess) -> list[dict[str, Any]]:
    """The lines that CloudWatch would take for metrics, each checked against the format."""
    lines = [line for line in worker.log if "_aws" in line]
    for line in lines:
        jsonschema.validate(line, EMF_SCHEMA)
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert all(isinstance(line[name], str) for name in directive["Dimensions"][0])
        for metric in directive["Metrics"]:
            value = line[metric["Name"]]
            assert not isinstance(value, list) or 0 < len(value) <= 100
    return lines


def test_cloudwatch_reads_the_metrics_from_the_log(queues: Queues, start_worker: StartWorker) -> None:
    queues.send(*(sign_up(f"user{n}") for n in range(120)), "{broken", activity("nobody"))

    # Whatever else the log shows, and wherever.
    worker = start_worker(
        "--once", METRICS="emf", LOG_LEVEL="warning", LOG_FORMAT="console", MAX_ATTEMPTS="1", wait=False
    )
    assert worker.wait(60) == 0

    whole, *parts = emf(worker)
    assert (whole["QueueName"], whole["_aws"]["CloudWatchMetrics"][0]["Namespace"]) == (
        queues.events_url.rpartition("/")[2],
        "SignupSync",
    )
    assert (whole["Received"], whole["Committed"], whole["DeadLettered"], whole["Duplicates"]) == (122, 120, 2, 0)
    assert len(whole["Lag"]) == 100
    assert sum(whole["BatchMessages"]) == pytest.approx(120, rel=0.3)
    assert [part["Committed"] for part in parts if part.get("Type") == "user.signed_up.v1"] == [120]
    reasons = {part["Reason"]: part["DeadLettered"] for part in parts if "Reason" in part}
    assert reasons == {"invalid_event": 1, "unknown_author": 1}
    calls = {(part["Operation"], part["Outcome"]): part["SqsCalls"] for part in parts if "Operation" in part}
    assert calls["ReceiveMessage", "ok"] >= 13


def test_no_metrics_are_in_the_log_unless_they_are_wanted(queues: Queues, start_worker: StartWorker) -> None:
    queues.send(sign_up("ada"))
    worker = start_worker("--once", **ADMIN)
    worker.wait(60)

    assert emf(worker) == []


def histogram(values: list[float]) -> Histogram:
    result = Histogram(Measurements().totals().lag_seconds.bounds)
    result.observe(values)
    return result


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.95, 0.99])
def test_quantiles_are_close_to_the_true_ones(fraction: float) -> None:
    generator = random.Random(1)
    values = sorted(generator.lognormvariate(0, 2) for _ in range(10_000))

    quantile = histogram(values).quantile(fraction)

    assert quantile == pytest.approx(values[int(fraction * len(values))], rel=0.15)


def test_a_histogram_shows_how_many_are_below_each_bound() -> None:
    shown = dict(histogram([0.001, 0.01, 0.011, 7, 1e9]).shown())

    assert (shown[0.01], shown[0.02], shown[5], shown[10], max(shown.values())) == (2, 3, 3, 4, 4)


def test_the_difference_of_two_histograms_is_what_came_between() -> None:
    before, after = histogram([1, 2]), histogram([1, 2, 3])

    assert after.since(before).counts == histogram([3]).counts
    assert after.since(before).sum == 3


def test_a_histogram_without_values_has_no_quantiles() -> None:
    assert histogram([]).quantile(0.5) is None


def delivery(name: str, time: datetime) -> Delivery:
    result = Delivery(Received(name, "receipt", "{}", 1, {}), received_at=0.0)
    result.event = UserSignedUp.new(cognito_user_id=name, handle=name, display_name=name, source="/tests", time=time)
    return result


def test_only_what_was_new_has_a_lag_and_a_clock_that_is_ahead_has_none() -> None:
    now = datetime.now(UTC)
    batch = [delivery("new", now + timedelta(hours=1)), delivery("old", now - timedelta(days=300))]
    measurements = Measurements()

    measurements.committed(Committed(batch, UsersInserted({"new"}), ActivitiesInserted(), began=1.0, ended=1.5))

    totals = measurements.totals()
    assert totals.committed == Counter({"user.signed_up.v1": 2})
    assert totals.duplicates == Counter({"user.signed_up.v1": 1})
    assert (totals.lag_seconds.count, totals.lag_seconds.sum) == (1, 0.0)
    assert (totals.commit_seconds.count, totals.commit_seconds.sum) == (1, 0.5)


def test_what_was_read_does_not_change_any_more() -> None:
    measurements = Measurements()
    before = measurements.totals()

    measurements.sqs_called("receive_message", "ok")

    assert before.sqs_calls.total() == 0
    assert json.dumps(measurements.totals().since(before).sqs_calls.total()) == "1"
