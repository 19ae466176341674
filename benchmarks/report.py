"""All that was measured in a run, and its medians."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.contestants import BAR, WORKER
from benchmarks.endurance import Idle, LongRun
from benchmarks.latency import Latency
from benchmarks.run import Result

# What the worker's CPU ratio may be above the recorded one before it counts as a regression.
TOLERANCE = 0.15


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
    scale: list[tuple[str, list[Result]]] = field(default_factory=list)  # each case with its runs
    long_run: LongRun | None = None
    idle: Idle | None = None
    database: str = ""

    def summaries(self) -> list[Summary]:
        """One for each contestant, the cheapest first."""
        names = dict.fromkeys(result.contestant for results in self.rounds for result in results)
        return sorted((self._summary(name) for name in names), key=lambda summary: summary.cpu[0])

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
            per_second=spread([result.per_second for result in results]),
            cpu=spread([result.cpu for result in results]),
            cpu_ratio=spread(ratios) if ratios else None,
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


def worker_ratio(summaries: Sequence[Summary]) -> float:
    """The worker's CPU per message to the bare boto3 loop's. Raises `ValueError` if that was not measured."""
    (worker,) = (summary for summary in summaries if summary.contestant == WORKER.name)
    if worker.cpu_ratio is None:
        raise ValueError("the bare loop was not measured")
    return worker.cpu_ratio[0]


def is_regression(now: float, recorded: float) -> bool:
    """Whether the worker's CPU ratio has become worse than chance would make it."""
    return now > recorded * (1 + TOLERANCE)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, the lowest and the highest."""
    return statistics.median(values), min(values), max(values)
