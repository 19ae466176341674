"""What was measured, as Markdown: a document of its own, and what the README says."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.contestants import BAR, WORKER
from benchmarks.endurance import Idle, LongRun
from benchmarks.latency import Latency
from benchmarks.limits import BULK_COPY, STATEMENT
from benchmarks.report import Report, Summary, spread
from benchmarks.run import Result

_EXPLAINED = (
    "Medians, with the lowest and the highest of the rounds in brackets; calls and commits are those of one message."
    " CPU is that of the contestant's processes without their start; the queue's and Postgres's do not count.\n"
)

_TLS_EXPLAINED = (
    "A proxy that terminates TLS stands before the queue server, the same for all. Handshakes are those of a whole run,"
    " with the start.\n"
)

_SCALE_EXPLAINED = (
    "Medians, with the lowest and the highest. All of it shares the machine's cores: where the last three columns"
    " together come near to their number, the machine is the limit and not the worker. So there are processes that have"
    " a part of a core each, by a quota of the kernel's: how they scale while queue and database have the rest.\n"
)


def document(report: Report, summaries: Sequence[Summary], conditions: dict[str, Any]) -> str:
    """All of it."""
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
    if report.tls:
        parts += ["## Over TLS\n", _tls_table(report.tls_summaries()), _TLS_EXPLAINED]
    if report.latencies:
        parts += ["## From send to commit\n", _latency_table(report.latencies)]
    if report.scale:
        parts += ["## Scale\n", _scale_table(report.scale), _SCALE_EXPLAINED]
    if report.long_run:
        parts += ["## Memory in a long run\n", _described_run(report.long_run)]
    if report.idle:
        parts += ["## On an empty queue\n", _described_idle(report.idle)]
    return "\n".join(part if part.endswith("\n") else f"{part}\n" for part in parts)


def readme_section(report: Report, summaries: Sequence[Summary], conditions: dict[str, Any]) -> str:
    """What the README says, as Markdown."""
    worker = next(summary for summary in summaries if summary.contestant == WORKER.name)
    systems = [
        summary for summary in summaries if summary.cpu_ratio and summary.contestant not in (BULK_COPY, STATEMENT)
    ]
    rows = ((_emphasised(summary), *_readme_row(summary, worker)) for summary in systems)
    versions = conditions["versions"]
    header = ("", "messages/s", "CPU µs/message", "to the boto3 loop", "to the worker", "commits/message")
    lines = [
        f"{conditions['date']}, {conditions['mode']} mode, {conditions['machine']}, Python {versions['Python']},",
        f"boto3 {versions['boto3']}, Postgres {versions['Postgres']}:",
        "",
        _table(header, rows),
        f"The worker makes {worker.calls:.3f} calls to SQS per message, and holds {worker.megabytes:.0f} MB.",
        "From send to commit:",
        "; ".join(map(_described_latency, report.latencies)) + ".",
    ]
    if report.tls:
        lines.append(_described_tls(report.tls_summaries()))
    if report.distant:
        per_second = statistics.median(result.per_second for result in report.distant)
        lines.append(f"One process does {per_second:,.0f} messages a second where SQS takes 10 ms to answer.")
    return "\n".join([*lines, ""])


def _described_tls(summaries: Sequence[Summary]) -> str:
    found = {summary.contestant: summary for summary in summaries}
    worker, bar = found[WORKER.name], found[BAR.name]
    return (
        f"Over TLS it takes {worker.cpu[0]:.0f} µs a message, {_ratio(worker)} of what the loop takes then"
        f" ({bar.cpu[0]:.0f}); for {worker.messages:,} messages it made {worker.handshakes:.0f} handshakes, one for"
        " each connection that it keeps."
    )


def _tls_table(summaries: Sequence[Summary]) -> str:
    rows = (
        (
            summary.contestant,
            f"{summary.messages:,}",
            _with_spread(summary.per_second),
            _with_spread(summary.cpu),
            _ratio(summary),
            f"{summary.handshakes:.0f}",
        )
        for summary in summaries
    )
    return _table(("", "messages", "messages/s", "CPU µs/message", "to the boto3 loop", "handshakes"), rows)


def _described_latency(latency: Latency) -> str:
    return f"at {latency.per_second} messages a second p50 {latency.p50:.1f} ms, p99 {latency.p99:.1f} ms"


def _emphasised(summary: Summary) -> str:
    return f"**{summary.contestant}**" if summary.contestant == WORKER.name else summary.contestant


def _readme_row(summary: Summary, worker: Summary) -> tuple[str, ...]:
    return (
        f"{summary.per_second[0]:,.0f}",
        f"{summary.cpu[0]:,.0f}",
        _ratio(summary),
        f"{summary.cpu[0] / worker.cpu[0]:.1f}",
        f"{summary.commits:.2f}" if summary.commits else "",
    )


def _row(summary: Summary) -> tuple[str, ...]:
    return (
        summary.contestant,
        _with_spread(summary.per_second),
        _with_spread(summary.cpu),
        _ratio(summary),
        f"{summary.calls:.3f}" if summary.calls else "",
        f"{summary.commits:.4f}" if summary.commits else "",
        f"{summary.megabytes:.0f}" if summary.megabytes else "",
    )


def _ratio(summary: Summary) -> str:
    return "" if summary.cpu_ratio is None else f"{summary.cpu_ratio[0]:.2f}"


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


def _scale_table(scale: Sequence[tuple[str, Sequence[Result]]]) -> str:
    rows = ((case, *_scale_row(results)) for case, results in scale)
    header = ("", "messages", "messages/s", "CPU µs/message", "MB", "cores: itself", "queue server", "Postgres")
    return _table(header, rows)


def _scale_row(results: Sequence[Result]) -> tuple[str, ...]:
    def median(value: Callable[[Result], float]) -> float:
        return statistics.median(map(value, results))

    return (
        f"{results[0].messages:,}",
        _with_spread(spread([result.per_second for result in results])),
        _with_spread(spread([result.cpu for result in results])),
        f"{median(lambda result: result.megabytes):.0f}",
        f"{median(lambda result: result.load):.2f}",
        f"{median(lambda result: result.server_load):.2f}",
        f"{median(lambda result: result.database_load):.2f}",
    )


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


def _with_spread(values: tuple[float, float, float]) -> str:
    median, lowest, highest = values
    return f"{median:,.0f} ({lowest:,.0f} to {highest:,.0f})"
