"""What was measured, as JSON, as Markdown and as charts."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.charts import bar_chart
from benchmarks.contestants import BAR, PEER_PYTHON, WORKER
from benchmarks.endurance import Idle, LongRun
from benchmarks.latency import Latency
from benchmarks.run import Result
from tests.e2e.node_parts import PARTS

RESULTS = Path(__file__).parent / "results"

_EXPLAINED = (
    "Medians, with the lowest and the highest of the rounds in brackets; calls and commits are those of one message."
    " CPU is that of the contestant's processes without their start; the queue's and Postgres's do not count.\n"
)

OURS = ("boto3", "botocore", "pydantic", "psycopg", "urllib3")
THEIRS = ("celery", "kombu", "dramatiq", "dramatiq-sqs", "sqs-workers")

_SCALE_EXPLAINED = (
    "Each case is one run. All of it shares the machine's cores: where the last three columns together come near to"
    " their number, the machine is the limit and not the worker.\n"
)


@dataclass(frozen=True)
class Summary:
    """The median over the rounds, with the lowest and the highest; `cpu_ratio` is to the bare boto3 loop's of the same
    round."""

    contestant: str
    messages: int
    per_second: tuple[float, float, float]
    cpu: tuple[float, float, float]
    cpu_ratio: tuple[float, float, float] | None
    calls: float
    commits: float
    megabytes: float
    load: float
    server_load: float
    database_load: float


@dataclass
class Report:
    """All of a run."""

    mode: str
    rounds: list[list[Result]] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    scale: list[tuple[str, Result]] = field(default_factory=list)
    long_run: LongRun | None = None
    idle: Idle | None = None
    database: str = ""

    def summaries(self) -> list[Summary]:
        """One for each contestant, the cheapest first."""
        names = dict.fromkeys(result.contestant for results in self.rounds for result in results)
        return sorted((self._summary(name) for name in names), key=lambda summary: summary.cpu[0])

    def ratio(self) -> float:
        """The worker's CPU per message to the bare loop's."""
        (summary,) = (summary for summary in self.summaries() if summary.contestant == WORKER.name)
        if summary.cpu_ratio is None:
            raise ValueError("the bare loop was not measured")
        return summary.cpu_ratio[0]

    def _summary(self, name: str) -> Summary:
        results = [result for results in self.rounds for result in results if result.contestant == name]
        bars = {number: result.cpu for number, result in enumerate(self._of(BAR.name)) if result}
        ratios = [
            result.cpu / bars[number] for number, result in enumerate(self._of(name)) if result and number in bars
        ]

        def median(value: Callable[[Result], float]) -> float:
            return statistics.median(map(value, results))

        return Summary(
            contestant=name,
            messages=results[0].messages,
            per_second=_spread([result.per_second for result in results]),
            cpu=_spread([result.cpu for result in results]),
            cpu_ratio=_spread(ratios) if ratios else None,
            calls=median(lambda result: result.calls),
            commits=median(lambda result: result.commits),
            megabytes=median(lambda result: result.megabytes),
            load=median(lambda result: result.load),
            server_load=median(lambda result: result.server_load),
            database_load=median(lambda result: result.database_load),
        )

    def _of(self, name: str) -> list[Result | None]:
        """By round."""
        return [next((result for result in results if result.contestant == name), None) for results in self.rounds]


def write(report: Report) -> None:
    """Write everything into `results`."""
    RESULTS.mkdir(exist_ok=True)
    summaries = report.summaries()
    conditions = _conditions(report)
    content = {
        "conditions": conditions,
        "summaries": [asdict(summary) for summary in summaries],
        "latencies": [asdict(latency) for latency in report.latencies],
        "scale": [{"case": case, **asdict(result)} for case, result in report.scale],
        "long_run": report.long_run and asdict(report.long_run),
        "idle": report.idle and asdict(report.idle),
        "rounds": [[asdict(result) for result in results] for results in report.rounds],
    }
    (RESULTS / "results.json").write_text(json.dumps(content, indent=2) + "\n")
    (RESULTS / "results.md").write_text(_markdown(report, summaries, conditions))
    queued = [summary for summary in summaries if summary.calls]
    emphasised = {WORKER.name}
    cpu = [(summary.contestant, summary.cpu[0]) for summary in queued]
    (RESULTS / "cpu.svg").write_text(bar_chart("CPU per message, µs (less is better)", cpu, emphasised))
    speed = sorted(((summary.contestant, summary.per_second[0]) for summary in queued), key=lambda bar: -bar[1])
    (RESULTS / "throughput.svg").write_text(bar_chart("Messages a second (more is better)", speed, emphasised))


def recorded() -> dict[str, Any]:
    """What was written last. Raises `FileNotFoundError`."""
    content: dict[str, Any] = json.loads((RESULTS / "results.json").read_text())
    return content


def _markdown(report: Report, summaries: Sequence[Summary], conditions: dict[str, Any]) -> str:
    parts = [
        "# What a message costs\n",
        _described(conditions),
        _table(
            ("", "messages/s", "CPU µs/message", "to the boto3 loop", "SQS calls", "commits", "MB"),
            (_row(summary) for summary in summaries),
        ),
        _EXPLAINED,
        "What was busy meanwhile, in cores:\n",
        _table(
            ("", "itself", "queue server", "Postgres"),
            ((s.contestant, f"{s.load:.2f}", f"{s.server_load:.2f}", f"{s.database_load:.2f}") for s in summaries),
        ),
    ]
    if report.latencies:
        parts += ["## From send to commit\n", _latency_table(report.latencies)]
    if report.scale:
        parts += ["## Scale\n", _scale_table(report.scale), _SCALE_EXPLAINED]
    if report.long_run:
        parts += ["## Memory in a long run\n", _described_run(report.long_run)]
    if report.idle:
        parts += ["## On an empty queue\n", _described_idle(report.idle)]
    return "\n".join(part if part.endswith("\n") else f"{part}\n" for part in parts)


def _row(summary: Summary) -> tuple[str, ...]:
    ratio = "" if summary.cpu_ratio is None else f"{summary.cpu_ratio[0]:.2f}"
    return (
        summary.contestant,
        _with_spread(summary.per_second),
        _with_spread(summary.cpu),
        ratio,
        f"{summary.calls:.3f}" if summary.calls else "",
        f"{summary.commits:.4f}" if summary.commits else "",
        f"{summary.megabytes:.0f}" if summary.megabytes else "",
    )


def _latency_table(latencies: Sequence[Latency]) -> str:
    rows = (
        (
            latency.contestant,
            f"{latency.per_second}/s",
            f"{latency.p50:.1f} ms",
            f"{latency.p99:.1f} ms",
            f"{latency.delivery_p50:.1f} ms",
            f"{latency.delivery_p99:.1f} ms",
        )
        for latency in latencies
    )
    return _table(("", "rate", "p50", "p99", "p50 of the queue's delivery", "its p99"), rows)


def _scale_table(scale: Sequence[tuple[str, Result]]) -> str:
    rows = (
        (
            case,
            f"{result.messages:,}",
            f"{result.per_second:,.0f}",
            f"{result.cpu:.0f}",
            f"{result.megabytes:.0f}",
            f"{result.load:.2f}",
            f"{result.server_load:.2f}",
            f"{result.database_load:.2f}",
        )
        for case, result in scale
    )
    header = ("", "messages", "messages/s", "CPU µs/message", "MB", "cores: itself", "queue server", "Postgres")
    return _table(header, rows)


def _described_run(run: LongRun) -> str:
    minutes = ", ".join(f"{megabytes:.1f}" for megabytes in run.megabytes)
    return f"MB at the end of each minute, at {run.per_second} messages a second: {minutes}.\n"


def _described_idle(idle: Idle) -> str:
    calls = ", ".join(f"{count} {operation}" for operation, count in sorted(idle.calls.items()))
    return f"Calls of one worker for the events queue in {idle.seconds} seconds: {calls}.\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _described(conditions: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in conditions["versions"].items())
    return (
        f"{conditions['date']}, {conditions['mode']} mode, {conditions['rounds']} rounds in turn;"
        f" {conditions['machine']}, load average at the end {conditions['load_average']}. {versions}."
        " Postgres with fsync and full_page_writes; fauxqs as SQS, so all of it over the loopback of one machine.\n"
    )


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


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return statistics.median(values), min(values), max(values)


def _with_spread(values: tuple[float, float, float]) -> str:
    median, lowest, highest = values
    return f"{median:,.0f} ({lowest:,.0f} to {highest:,.0f})"
