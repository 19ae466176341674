"""This worker beside that of another checkout, in one run: before a change and after it, on the same machine.

What is compared is measured in turn, and the medians over the rounds are shown.
"""

import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks.contestants import BAR, WORKER, Contestant
from benchmarks.database import Database
from benchmarks.latency import measure_latency
from benchmarks.queue_server import QueueServer
from benchmarks.run import measure

LATENCY_SECONDS = 8.0
SLOW_COMMIT = 5  # milliseconds
SLOW_NETWORK = 20  # milliseconds to SQS and back

Figures = dict[str, float]


def compare(other: Path, rounds: int, messages: int, *, only: str) -> str:
    """A table of all figures; `other` is a checkout whose `.venv` has its signup-sync."""
    before = Contestant("before", (str(other / ".venv" / "bin" / "signup-sync"), "worker"))
    with QueueServer() as server, Database() as database:

        def full(who: Contestant, latency: int = 0) -> Figures:
            result = measure(who, server, database, messages, latency=latency)
            own = {} if latency else {"calls a message": result.calls, "commits a message": result.commits}
            return {"messages/s": result.per_second, "CPU µs a message": result.cpu, "MB": result.megabytes, **own}

        def steady(who: Contestant, rate: int) -> Figures:
            latency = measure_latency(who, server, database, rate, LATENCY_SECONDS)
            return {"p50 ms": latency.p50, "p99 ms": latency.p99}

        def slow_commits(who: Contestant) -> Figures:
            with database.slow_commits(SLOW_COMMIT):
                return steady(who, 500)

        cases: dict[str, Callable[[Contestant], Figures]] = {
            "full queue": full,
            f"{SLOW_NETWORK} ms to SQS": lambda who: full(who, SLOW_NETWORK),
            "100/s": lambda who: steady(who, 100),
            "500/s": lambda who: steady(who, 500),
            f"500/s, {SLOW_COMMIT} ms a commit": slow_commits,
        }
        lines = ["| | | boto3 loop | before | now | to the loop | to before |", "| --- | --- | " + "---: | " * 5]
        for case, run in cases.items():
            if only in case:
                lines += _rows(case, run, (BAR, before, WORKER) if case == "full queue" else (before, WORKER), rounds)
    return "\n".join(lines)


def _rows(case: str, run: Callable[[Contestant], Figures], who: tuple[Contestant, ...], rounds: int) -> list[str]:
    found: list[dict[str, Figures]] = []
    with click.progressbar(length=rounds * len(who), label=case, file=sys.stderr) as bar:
        for _ in range(rounds):
            found.append({})
            for contestant in who:
                found[-1][contestant.name] = run(contestant)
                bar.update(1)
    lines = []
    for figure in found[0][WORKER.name]:
        values = [statistics.median(r[name][figure] for r in found) for name in found[0]]
        ratios = [
            statistics.median(r[WORKER.name][figure] / (r[name][figure] or float("nan")) for r in found)
            for name in found[0]
            if name != WORKER.name
        ]
        blank = [""] * (3 - len(values))
        cells = [*blank, *(f"{value:,.3g}" if value < 1000 else f"{value:,.0f}" for value in values)]
        cells += [*blank, *(f"{ratio:.2f}" for ratio in ratios)]
        lines.append(f"| {case} | {figure} | {' | '.join(cells)} |")
    return lines
