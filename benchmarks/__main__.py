"""The command line: `python -m benchmarks run`, `python -m benchmarks check`."""

import sys
from collections.abc import Iterator

import click

from benchmarks import limits, report
from benchmarks.contestants import BAR, CONTESTANTS, PEERS, WORKER, workers
from benchmarks.database import Database
from benchmarks.endurance import measure_idle, measure_long_run
from benchmarks.latency import measure_latency
from benchmarks.queue_server import QueueServer
from benchmarks.run import CheckFailed, Result, measure

QUICK_MESSAGES = 6000
FULL_MESSAGES = 20_000
QUICK_ROUNDS = 3
FULL_ROUNDS = 5
LAMBDA_MESSAGES = 400  # each connects by itself
RATES = (100, 500)  # messages a second
QUICK_LATENCY_SECONDS = 4.0
FULL_LATENCY_SECONDS = 30.0
LONG_RUN_RATE = 500  # messages a second
LONG_RUN_MINUTES = 5

# What the worker's CPU ratio may be above the recorded one before it counts as a regression.
TOLERANCE = 0.15


@click.group
def cli() -> None:
    """Measure what a message costs, here and with others."""


@cli.command
@click.option("--full", is_flag=True, help="More messages and rounds, and the cases of scale: about an hour.")
@click.option("--messages", type=click.IntRange(min=100), help="In a full queue; slow contestants get a part of them.")
@click.option("--rounds", type=click.IntRange(min=1), help="How often everybody has their turn.")
@click.option("--only", multiple=True, help="Only contestants whose name contains this; nothing is written.")
def run(full: bool, messages: int | None, rounds: int | None, only: tuple[str, ...]) -> None:
    """Measure everybody in turn, and write benchmarks/results.

    In a quick run the others have their turn once, and the worker and the bare boto3 loop three times. It fails, and
    writes nothing, where a contestant leaves rows out or messages behind.

    \b
    Examples:
      python -m benchmarks run
      python -m benchmarks run --full
      python -m benchmarks run --only worker --rounds 1
    """
    if not (PEERS / "installed").exists():
        raise click.UsageError("the peers are not installed: run benchmarks/install-peers")
    made = report.Report("full" if full else "quick")
    messages = messages or (FULL_MESSAGES if full else QUICK_MESSAGES)
    with QueueServer() as server, Database() as database:
        made.database = database.version
        for number in range(rounds or (FULL_ROUNDS if full else QUICK_ROUNDS)):
            click.echo(f"round {number + 1}", err=True)
            made.rounds.append(list(_round(server, database, messages, only, everybody=full or number == 0)))
        if not only:
            _measure_the_rest(made, server, database, full=full)
    if not only:
        report.write(made)
        click.echo((report.RESULTS / "results.md").read_text())


@cli.command
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
def check(rounds: int) -> None:
    """Compare the worker's CPU per message, in relation to the bare boto3 loop's, with what is recorded.

    Exits 1 if it is more than 15 % above.

    \b
    Example:
      python -m benchmarks check
    """
    summaries = report.recorded()["summaries"]
    before = next(summary["cpu_ratio"][0] for summary in summaries if summary["contestant"] == WORKER.name)
    made = report.Report("check")
    with QueueServer() as server, Database() as database:
        for _ in range(rounds):
            made.rounds.append([_told(measure(who, server, database, QUICK_MESSAGES)) for who in (BAR, WORKER)])
    now = made.ratio()
    click.echo(f"CPU per message to the boto3 loop's: {now:.2f}, recorded {before:.2f}")
    if now > before * (1 + TOLERANCE):
        raise CheckFailed(f"that is {100 * (now / before - 1):.0f} % more")


def _round(
    server: QueueServer, database: Database, messages: int, only: tuple[str, ...], *, everybody: bool
) -> Iterator[Result]:
    for contestant in CONTESTANTS:
        wanted = any(part in contestant.name for part in only) if only else everybody or contestant.each_round
        if wanted:
            yield _told(measure(contestant, server, database, int(messages * contestant.share)))
    if everybody and not only:
        yield _told(limits.measure_lambda(database, LAMBDA_MESSAGES))
        yield _told(limits.measure_statement(database, messages))
        yield _told(limits.measure_copy(database, messages))


def _measure_the_rest(made: report.Report, server: QueueServer, database: Database, *, full: bool) -> None:
    seconds = FULL_LATENCY_SECONDS if full else QUICK_LATENCY_SECONDS
    for rate in RATES:
        latency = measure_latency(WORKER, server, database, rate, seconds)
        click.echo(f"  {rate}/s: p50 {latency.p50:.1f} ms, p99 {latency.p99:.1f} ms", err=True)
        made.latencies.append(latency)
    if full:
        for case, result in _scale(server, database):
            made.scale.append((case, _told(result, case)))
        click.echo(f"  {LONG_RUN_MINUTES} minutes at {LONG_RUN_RATE}/s, and an idle minute", err=True)
        made.long_run = measure_long_run(server, database, LONG_RUN_RATE, LONG_RUN_MINUTES)
        made.idle = measure_idle(server, database)


def _scale(server: QueueServer, database: Database) -> Iterator[tuple[str, Result]]:
    for messages in (1000, 10_000, 100_000):
        yield f"backlog of {messages:,}", measure(WORKER, server, database, messages)
    for milliseconds in (0, 5, 20):
        far = measure(WORKER, server, database, FULL_MESSAGES, latency=milliseconds)
        yield f"{milliseconds} ms to SQS and back", far
    for processes in (1, 2, 4):
        several = measure(workers(processes), server, database, FULL_MESSAGES)
        yield f"{processes} processes", several
    for rows in (0, 1_000_000, 10_000_000):
        yield f"{rows:,} users before", measure(WORKER, server, database, FULL_MESSAGES, rows=rows)


def _told(result: Result, case: str = "") -> Result:
    name = f"{result.contestant} {case}".strip()
    click.echo(f"  {name}: {result.per_second:,.0f}/s, {result.cpu:.0f} µs of CPU a message", err=True)
    return result


def main() -> None:
    try:
        cli(prog_name="python -m benchmarks")
    except CheckFailed as error:
        sys.exit(f"benchmarks: {error}")


if __name__ == "__main__":
    main()
