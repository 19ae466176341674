"""What is made of the measurements."""

from dataclasses import replace

import pytest

from benchmarks.contestants import BAR, CELERY, WORKER
from benchmarks.endurance import Idle, LongRun
from benchmarks.latency import Latency
from benchmarks.markdown import document, readme_section
from benchmarks.report import Report
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
    report = Report("quick", rounds=[[result(WORKER.name, 80.0)]])

    assert [summary.cpu_ratio for summary in report.summaries()] == [None]


def test_the_readme_says_what_tls_and_distance_cost(report: Report) -> None:
    report.tls.append([result(BAR.name, 200.0), replace(result(WORKER.name, 50.0), handshakes=40)])
    report.distant += [result(WORKER.name, 60.0, per_second=n) for n in (7000.0, 9000.0, 8000.0)]
    conditions = {**CONDITIONS, "versions": {"Python": "3.11.7", "boto3": "1", "Postgres": "18"}}
    section = readme_section(report, report.summaries(), conditions)

    assert (
        "Over TLS it takes 50 µs a message, 0.25 of what the loop takes then (200); for 100 messages it made 40"
        in section
    )
    assert "One process does 8,000 messages a second where SQS takes 10 ms to answer." in section
    assert "| signup-sync worker | 100 | 1,000 (1,000 to 1,000) | 50 (50 to 50) | 0.25 | 40 |" in document(
        report, report.summaries(), CONDITIONS
    )


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
