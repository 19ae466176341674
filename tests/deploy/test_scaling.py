"""How many workers there are: the scaling policy's metric math, computed for what CloudWatch would have."""

import re
from typing import Any

import pytest

from tests.deploy.templates import read

TEMPLATE = read("service")
LATENCY = TEMPLATE["Parameters"]["AcceptableLatencySeconds"]["Default"]  # seconds
RATE = TEMPLATE["Parameters"]["MessagesPerSecond"]["Default"]  # a second and task
POLICY = TEMPLATE["Resources"]["BacklogScaling"]["Properties"]["TargetTrackingScalingPolicyConfiguration"]
METRICS: list[dict[str, Any]] = POLICY["CustomizedMetricSpecification"]["Metrics"]


def seconds(
    events: float | None,
    deleted: float | None,
    tasks: float | None,
    *,
    activities: float | None = None,
    activities_deleted: float | None = None,
) -> float:
    """What the policy compares with its target; None is a metric without a value."""
    known: dict[str, Any] = {"FILL": fill, "IF": choose, "tasks": tasks}
    known |= {"events": events, "events_deleted": deleted}
    known |= {"activities": activities, "activities_deleted": activities_deleted}
    for metric in METRICS:
        if "Expression" in metric:
            known[metric["Id"]] = eval(python(metric["Expression"]), known)  # noqa: S307 (the template's own text)
    return float(known["seconds"])


def fill(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def choose(condition: bool, then: float, otherwise: float) -> float:
    return then if condition else otherwise


def python(expression: str | dict[str, str]) -> str:
    text = expression if isinstance(expression, str) else expression["Fn::Sub"]
    text = text.replace("${AcceptableLatencySeconds}", str(LATENCY)).replace("${MessagesPerSecond}", str(RATE))
    return re.sub(r"\bAND\b", "and", text)


def test_the_target_is_the_latency_and_one_metric_is_compared_with_it() -> None:
    assert POLICY["TargetValue"] == {"Ref": "AcceptableLatencySeconds"}
    assert [metric["Id"] for metric in METRICS if metric["ReturnData"]] == ["seconds"]


@pytest.mark.parametrize("tasks", [1, 4])
def test_a_backlog_that_takes_longer_than_that_is_above_the_target_and_a_shorter_one_below(tasks: int) -> None:
    assert seconds(LATENCY * RATE * tasks + 100, deleted=1_000, tasks=tasks) > LATENCY
    assert seconds(LATENCY * RATE * tasks - 100, deleted=1_000, tasks=tasks) < LATENCY


@pytest.mark.parametrize("deleted", [0, None])
def test_in_an_outage_of_the_database_the_number_stays_as_it_is_however_long_the_queue_gets(
    deleted: float | None,
) -> None:
    assert seconds(10_000_000, deleted, tasks=2) == LATENCY


def test_both_queues_count_and_a_quiet_one_has_no_value() -> None:
    assert seconds(RATE * 10, 1_000, 1, activities=RATE * 20) == 30
    assert seconds(None, None, 1, activities=RATE * 20, activities_deleted=1_000) == 20


def test_a_queue_that_is_empty_needs_fewer() -> None:
    assert seconds(0, deleted=None, tasks=4) == 0


@pytest.mark.parametrize("tasks", [0, None])
def test_without_a_number_of_tasks_one_is_taken(tasks: float | None) -> None:
    assert seconds(RATE * 10, deleted=1, tasks=tasks) == 10
