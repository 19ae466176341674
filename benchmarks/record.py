"""The record of the last run: JSON, Markdown and charts in `results`, and the table of the README."""

import json
import os
import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.charts import bar_chart
from benchmarks.contestants import PEER_PYTHON, WORKER
from benchmarks.latency import Latency
from benchmarks.markdown import document, readme_section
from benchmarks.report import Report, Summary
from benchmarks.run import Result
from tests.e2e.node_parts import PARTS

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"
README_START = "<!-- results: written by make bench -->\n"
README_END = "<!-- end of results -->"

OURS = ("boto3", "botocore", "pydantic", "psycopg", "urllib3")
THEIRS = ("celery", "kombu", "dramatiq", "dramatiq-sqs", "sqs-workers")


def write(report: Report) -> None:
    """Write everything into `results`, and the most important of it into the README."""
    RESULTS.mkdir(exist_ok=True)
    summaries = report.summaries()
    conditions = _conditions(report)
    content = {
        "conditions": conditions,
        "summaries": [asdict(summary) for summary in summaries],
        "latencies": [asdict(latency) for latency in report.latencies],
        "tls": [[asdict(result) for result in results] for results in report.tls],
        "distant": [asdict(result) for result in report.distant],
        "scale": [{"case": case, "runs": [asdict(result) for result in results]} for case, results in report.scale],
        "long_run": report.long_run and asdict(report.long_run),
        "idle": report.idle and asdict(report.idle),
        "rounds": [[asdict(result) for result in results] for results in report.rounds],
    }
    (RESULTS / "results.json").write_text(json.dumps(content, indent=2) + "\n")
    (RESULTS / "results.md").write_text(document(report, summaries, conditions))
    text = README.read_text()
    before, after = text.partition(README_START)[0], text.partition(README_END)[2]
    section = readme_section(report, summaries, conditions)
    README.write_text(f"{before}{README_START}{section}{README_END}{after}")
    queued = [summary for summary in summaries if summary.calls]
    emphasised = {WORKER.name}
    cpu = [(summary.contestant, summary.cpu[0]) for summary in queued]
    (RESULTS / "cpu.svg").write_text(bar_chart("CPU per message, µs (less is better)", cpu, emphasised))
    speed = sorted(((summary.contestant, summary.per_second[0]) for summary in queued), key=lambda bar: -bar[1])
    (RESULTS / "throughput.svg").write_text(bar_chart("Messages a second (more is better)", speed, emphasised))


def recorded_summaries() -> list[Summary]:
    """Those of the last run. Raises `FileNotFoundError`."""
    return [Summary(**entry) for entry in recorded()["summaries"]]


def recorded_report() -> Report:
    """What the README says is made of. Raises `FileNotFoundError`."""
    content = recorded()
    return Report(
        content["conditions"]["mode"],
        rounds=_results(content["rounds"]),
        tls=_results(content.get("tls", [])),
        distant=[Result(**entry) for entry in content.get("distant", [])],
        latencies=[Latency(**entry) for entry in content["latencies"]],
    )


def _results(rounds: list[list[dict[str, Any]]]) -> list[list[Result]]:
    return [[Result(**entry) for entry in entries] for entries in rounds]


def recorded() -> dict[str, Any]:
    """What was written last. Raises `FileNotFoundError`."""
    content: dict[str, Any] = json.loads((RESULTS / "results.json").read_text())
    return content


def _conditions(report: Report) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "mode": report.mode,
        "rounds": len(report.rounds),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {_processor()}, {platform.system()}",
        "load_average": f"{os.getloadavg()[0]:.1f}",
        "versions": {
            "Python": platform.python_version(),
            **{name: version(name) for name in OURS},
            **_peer_versions(),
            "fauxqs": json.loads((PARTS / "node_modules/fauxqs/package.json").read_text())["version"],
            "Postgres": report.database,
        },
    }


def _peer_versions() -> dict[str, str]:
    script = "import importlib.metadata as m, sys; print(*(m.version(name) for name in sys.argv[1:]))"
    command = [PEER_PYTHON, "-c", script, *THEIRS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 (our own command)
    return dict(zip(THEIRS, done.stdout.split(), strict=True))


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown processor")
