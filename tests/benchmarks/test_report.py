"""What is made of the measurements."""

import pytest

from benchmarks.contestants import BAR, CELERY, WORKER
from benchmarks.endurance import Idle, LongRun
from benchmarks.latency import Latency
from benchmarks.markdown import document
from benchmarks.report import Report, is_regression, worker_ratio
from benchmarks.run import Result

CONDITIONS = {
    "date": "2026-01-31",
    "mode": "quick",
    "rounds": 2,
    "machine": "a machine",
    "load_average": "0.1",
    "versions": {"Python": "3.11.7"},
}


def result(contestant: str, cpu: float, per_second: float = 1000.0) -> Result:
    return Result(
        contestant,
        messages=100,
        per_second=per_second,
        cpu=cpu,
        calls=0.2,
        commits=0.01,
        megabytes=60.0,
        server_load=0.3,
        database_load=0.2,
        load=0.8,
    )


@pytest.fixture
def report() -> Report:
    """Two rounds, of which the second was on a machine half as fast; Celery had its turn in the first only."""
    return Report(
        "quick",
        rounds=[
            [result(BAR.name, 200.0), result(WORKER.name, 80.0), result(CELERY.name, 1600.0)],
            [result(BAR.name, 400.0), result(WORKER.name, 160.0)],
        ],
    )


def test_a_ratio_is_to_the_bar_of_the_same_round(report: Report) -> None:
    assert worker_ratio(report.summaries()) == pytest.approx(0.4)
    assert {summary.contestant: summary.cpu_ratio for summary in report.summaries()} == {
        WORKER.name: pytest.approx((0.4, 0.4, 0.4)),
        BAR.name: pytest.approx((1.0, 1.0, 1.0)),
        CELERY.name: pytest.approx((8.0, 8.0, 8.0)),
    }


def test_the_cheapest_is_first_with_median_and_spread(report: Report) -> None:
    first, *others = report.summaries()

    assert (first.contestant, first.cpu) == (WORKER.name, (120.0, 80.0, 160.0))
    assert [summary.contestant for summary in others] == [BAR.name, CELERY.name]


def test_without_the_bar_there_is_no_ratio() -> None:
    report = Report("check", rounds=[[result(WORKER.name, 80.0)]])

    with pytest.raises(ValueError, match="the bare loop was not measured"):
        worker_ratio(report.summaries())


@pytest.mark.parametrize(("now", "regression"), [(0.3, False), (0.4, False), (0.45, False), (0.47, True)])
def test_more_than_the_tolerance_is_a_regression(now: float, *, regression: bool) -> None:
    assert is_regression(now, recorded=0.4) is regression


def test_all_that_was_measured_is_in_the_document(report: Report) -> None:
    report.latencies.append(Latency(WORKER.name, 500, 3.0, 8.0, 2.0, 5.0))
    report.scale.append(("a backlog", [result(WORKER.name, cpu, per_second=9000.0) for cpu in (80.0, 90.0, 99.0)]))
    report.long_run = LongRun(500, [68.0, 68.2])
    report.idle = Idle(60, {"ReceiveMessage": 3, "GetQueueAttributes": 2})

    text = document(report, report.summaries(), CONDITIONS)

    assert "| signup-sync worker | 1,000 (1,000 to 1,000) | 120 (80 to 160) | 0.40 | 0.200 | 0.0100 | 60 |" in text
    assert "| signup-sync worker | 500/s | 3.0 ms | 8.0 ms | 2.0 ms | 5.0 ms |" in text
    assert "| a backlog | 100 | 9,000 (9,000 to 9,000) | 90 (80 to 99) | 60 | 0.80 | 0.30 | 0.20 |" in text
    assert "at 500 messages a second: 68.0, 68.2." in text
    assert "in 60 seconds: 2 GetQueueAttributes, 3 ReceiveMessage." in text
