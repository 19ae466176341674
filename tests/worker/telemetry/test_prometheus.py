"""What a worker has done is what its metrics say, for Prometheus and for CloudWatch."""

import json
import random
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest

from db.tables.worker_pause import WorkerPause
from tests.support.admin import get, samples
from tests.support.captured_logs import captured_logs
from tests.support.events import activity, sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import Queues, sqs_client
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker
from tests.worker.telemetry.running_telemetry import commit, delivery, message, running_telemetry, worker_settings
from worker.aws.sqs import Queue
from worker.telemetry.instrumentation import Waiting
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


def test_a_queue_that_cannot_be_asked_has_no_depth_and_one_line_in_the_log(proxy: FaultProxy, queues: Queues) -> None:
    proxy.fail("GetQueueAttributes", status=403, code="AccessDeniedException", times=1)  # for the events queue
    with closing(sqs_client(proxy.endpoint_url)) as client, captured_logs() as log:
        asked = {"events": Queue(queues.events_url, client), "dead_letters": Queue(queues.dlq_url, client)}
        with running_telemetry(queues=asked) as telemetry:
            known = 'signup_sync_queue_messages{queue="dead_letters",state="visible"}'
            wait_until(lambda: known in samples(telemetry.address), 60, "the other queue has none either")

            assert 'signup_sync_queue_messages{queue="events",state="visible"}' not in samples(telemetry.address)

    assert [(line["event"], line["code"]) for line in log] == [("queue_depth_unknown", "AccessDeniedException")]


def test_what_prometheus_asks_for_it_gets() -> None:
    with running_telemetry() as telemetry:
        answer = get(telemetry.address, "/metrics", {"Accept": "application/openmetrics-text;version=1.0.0"})

    assert answer.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


def test_what_has_not_happened_yet_is_there_with_zero() -> None:
    with running_telemetry() as telemetry:
        found = samples(telemetry.address)

    for name in (
        "signup_sync_received_messages_total",
        'signup_sync_committed_messages_total{type="activity.created.v1"}',
        'signup_sync_duplicate_messages_total{type="user.signed_up.v1"}',
        'signup_sync_retried_messages_total{reason="unknown_author"}',
        'signup_sync_dead_lettered_messages_total{reason="unknown_type"}',
        'signup_sync_sqs_calls_total{operation="SendMessageBatch",outcome="ok"}',
        "signup_sync_released_messages_total",
        "signup_sync_paused",
        "signup_sync_paused_by_operator",
        'signup_sync_waiting_messages{reason="unknown_author"}',
        'signup_sync_waiting_messages{reason="unknown_parent"}',
    ):
        assert found[name] == 0, name


def emf(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that CloudWatch would take for metrics, each checked against the format."""
    found = [line for line in lines if "_aws" in line]
    for line in found:
        jsonschema.validate(line, EMF_SCHEMA)
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert all(isinstance(line[name], str) for name in directive["Dimensions"][0])
        for metric in directive["Metrics"]:
            value = line[metric["Name"]]
            assert not isinstance(value, list) or 0 < len(value) <= 100
    return found


# Nothing is received twice, however long this machine stands still: each receive counts, as SQS may repeat itself.
@pytest.mark.queues(visibility_timeout=43_200)
def test_cloudwatch_reads_the_metrics_from_the_log(queues: Queues, start_worker: StartWorker) -> None:
    queues.send(*(sign_up(f"user{n}") for n in range(120)), "{broken", activity("nobody"))

    # Whatever else the log shows, and wherever.
    worker = start_worker(
        "--once", METRICS="emf", LOG_LEVEL="warning", LOG_FORMAT="console", MAX_ATTEMPTS="1", wait=False
    )
    assert worker.wait(60) == 0

    whole, *parts = emf(worker.log)
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


def test_a_message_that_is_received_again_counts_again(capsys: pytest.CaptureFixture[str]) -> None:
    settings = worker_settings(METRICS="emf", ADMIN_ADDRESS="off")
    with running_telemetry(settings) as telemetry:
        telemetry.happens.received([message("ada"), message("bob")])
        telemetry.happens.received([message("ada")])
        telemetry.happens.committed(commit(delivery("ada"), delivery("bob"), new={"ada"}))

    whole, *_ = emf([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert (whole["Received"], whole["Committed"], whole["Duplicates"]) == (3, 2, 1)


PAUSE = WorkerPause(datetime(2026, 1, 31, 12, tzinfo=UTC), "grace", "failover")


def test_a_pause_and_what_waits_are_gauges() -> None:
    with running_telemetry() as telemetry:
        telemetry.happens.paused_by_operator(PAUSE)
        telemetry.waiting = [Waiting("unknown_parent", 7, waited=60.0, left=1.0)]
        paused = samples(telemetry.address)
        telemetry.happens.resumed_by_operator()
        telemetry.waiting = []
        resumed = samples(telemetry.address)

    assert paused["signup_sync_paused_by_operator"] == 1
    assert paused["signup_sync_paused"] == 0
    assert paused['signup_sync_waiting_messages{reason="unknown_parent"}'] == 7
    assert "signup_sync_oldest_received_message_age_seconds" not in paused
    assert resumed["signup_sync_paused_by_operator"] == 0
    assert resumed['signup_sync_waiting_messages{reason="unknown_parent"}'] == 0
    assert "signup_sync_oldest_received_message_age_seconds" in resumed


def test_cloudwatch_has_the_same_gauges(capsys: pytest.CaptureFixture[str]) -> None:
    with running_telemetry(worker_settings(METRICS="emf", ADMIN_ADDRESS="off")) as telemetry:
        telemetry.happens.paused_by_operator(PAUSE)
        telemetry.waiting = [Waiting("unknown_author", 2, 60.0, 1.0), Waiting("unknown_parent", 7, 60.0, 1.0)]

    whole, *parts = emf([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert (whole["PausedByOperator"], whole["Paused"], whole["WaitingMessages"]) == (1, 0, 9)
    assert {part["Reason"]: part["WaitingMessages"] for part in parts} == {"unknown_author": 2, "unknown_parent": 7}


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


def test_only_what_was_new_has_a_lag_and_a_clock_that_is_ahead_has_none() -> None:
    now = datetime.now(UTC)
    ahead, old = (now + timedelta(hours=1)).isoformat(), (now - timedelta(days=300)).isoformat()
    measurements = Measurements()

    measurements.committed(commit(delivery("new", time=ahead), delivery("old", time=old), new={"new"}, seconds=0.5))

    totals = measurements.totals()
    assert totals.committed == Counter({"user.signed_up.v1": 2})
    assert totals.duplicates == Counter({"user.signed_up.v1": 1})
    assert (totals.lag_seconds.count, totals.lag_seconds.sum) == (1, 0.0)
    assert totals.commit_seconds.count == 1
    assert totals.commit_seconds.sum == pytest.approx(0.5)


def test_what_was_read_does_not_change_any_more() -> None:
    measurements = Measurements()
    before = measurements.totals()

    measurements.sqs_called("receive_message", "ok")

    assert before.sqs_calls.total() == 0
    assert json.dumps(measurements.totals().since(before).sqs_calls.total()) == "1"
