"""All that was measured in a run, and its medians."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.contestants import BAR
from benchmarks.endurance import Idle, LongRun
from benchmarks.latency import Latency
from benchmarks.run import Result


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
    handshakes: float = 0.0


@dataclass
class Report:
    """All of a run."""

    mode: str
    rounds: list[list[Result]] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    tls: list[list[Result]] = field(default_factory=list)  # rounds over TLS
    distant: list[Result] = field(default_factory=list)  # the worker, as far from SQS as one is in a region
    scale: list[tuple[str, list[Result]]] = field(default_factory=list)  # each case with its runs
    long_run: LongRun | None = None
    idle: Idle | None = None
    database: str = ""

    def summaries(self) -> list[Summary]:
        """One for each contestant, the cheapest first."""
        return summarized(self.rounds)

    def tls_summaries(self) -> list[Summary]:
        """The same over TLS."""
        return summarized(self.tls)


def summarized(rounds: Sequence[Sequence[Result]]) -> list[Summary]:
    """One for each contestant of these rounds, the cheapest first."""
    names = dict.fromkeys(result.contestant for results in rounds for result in results)
    return sorted((_summary(name, rounds) for name in names), key=lambda summary: summary.cpu[0])


def _summary(name: str, rounds: Sequence[Sequence[Result]]) -> Summary:
    results = [result for results in rounds for result in results if result.contestant == name]
    bars = {number: result.cpu for number, result in enumerate(_of(BAR.name, rounds)) if result}
    ratios = [result.cpu / bars[number] for number, result in enumerate(_of(name, rounds)) if result and number in bars]

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
        handshakes=median(lambda result: result.handshakes),
    )


def _of(name: str, rounds: Sequence[Sequence[Result]]) -> list[Result | None]:
    """By round."""
    return [next((result for result in results if result.contestant == name), None) for results in rounds]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, the lowest and the highest."""
    return statistics.median(values), min(values), max(values)
