"""The command line: `python -m benchmarks run`, `check`, `compare` and `growth`."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import click

from benchmarks import bytecode, comparison, control_group, limits, record
from benchmarks.contestants import CONTESTANTS, OVER_TLS, PEERS, WORKER, workers
from benchmarks.database import Database
from benchmarks.endurance import measure_idle, measure_long_run
from benchmarks.generated import Keys
from benchmarks.growth import MIN_ROWS, NoRoom, check_room, measure_case, to_json, to_text
from benchmarks.latency import measure_latency
from benchmarks.queue_server import QueueServer
from benchmarks.report import Report
from benchmarks.run import CheckFailed, Result, measure
from benchmarks.tls_proxy import TlsProxy

QUICK_MESSAGES = 6000
FULL_MESSAGES = 20_000
QUICK_ROUNDS = 3
FULL_ROUNDS = 3
LAMBDA_MESSAGES = 400  # each connects by itself
RATES = (100, 500)  # messages a second
QUICK_LATENCY_SECONDS = 4.0
FULL_LATENCY_SECONDS = 30.0
SCALE_ROUNDS = 3
SHARE = 0.25  # of a core for each of some worker processes
AS_FAR_AS_SQS = 10  # milliseconds to SQS and back within a region
LONG_RUN_RATE = 500  # messages a second
LONG_RUN_MINUTES = 5


@click.group
def cli() -> None:
    """Measure what a message costs, here and with others."""


@cli.command
@click.option("--full", is_flag=True, help="More messages and rounds, and the cases of scale: about half an hour.")
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
    made = Report("full" if full else "quick")
    messages = messages or (FULL_MESSAGES if full else QUICK_MESSAGES)
    with QueueServer() as server, Database() as database:
        made.database = database.version
        for number in range(rounds or (FULL_ROUNDS if full else QUICK_ROUNDS)):
            click.echo(f"round {number + 1}", err=True)
            made.rounds.append(list(_round(server, database, messages, only, everybody=full or number == 0)))
        if not only:
            _measure_the_rest(made, server, database, messages, full=full)
    if not only:
        record.write(made)
        click.echo((record.RESULTS / "results.md").read_text())


@cli.command
@click.option("--record", "recording", is_flag=True, help="Record the figure instead, as that of this Python.")
def check(recording: bool) -> None:
    """Count the instructions of bytecode that a message takes, and compare them with what is recorded.

    Exits 1 if they are more than 1 % above. It takes ten seconds, and does not mind what else the machine does.

    \b
    Examples:
      python -m benchmarks check
      python -m benchmarks check --record
    """
    before = bytecode.recorded().get(bytecode.PYTHON)
    if before is None and not recording:
        known = ", ".join(bytecode.recorded())
        raise click.UsageError(f"nothing is recorded for Python {bytecode.PYTHON} ({known} are): run check --record")
    now = bytecode.measure()
    told = "nothing" if before is None else f"{before:.0f} ({now / before - 1:+.1%})"
    click.echo(f"instructions of bytecode per message, Python {bytecode.PYTHON}: {now:.0f}, recorded {told}")
    if recording:
        bytecode.record(now)
    elif before is not None and bytecode.is_regression(now, before):
        raise CheckFailed("that is more than chance: find the change, or record it with check --record")


@cli.command
@click.argument("other", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--messages", default=FULL_MESSAGES, show_default=True, type=click.IntRange(min=100))
@click.option("--only", default="", help="Only cases whose name contains this.")
def compare(other: Path, rounds: int, messages: int, only: str) -> None:
    """Measure this worker beside that of OTHER, a checkout that is set up (`make test` does it).

    \b
    Example:
      git clone --quiet . /tmp/before && make -C /tmp/before .venv/installed
      python -m benchmarks compare /tmp/before
    """
    click.echo(comparison.compare(other.resolve(), rounds, messages, only=only))


@cli.command
@click.option(
    "--rows",
    multiple=True,
    default=(1_000_000,),
    show_default=True,
    type=click.IntRange(min=MIN_ROWS),
    help="Activities; may be given several times.",
)
@click.option(
    "--keys", multiple=True, default=("v4", "v7"), show_default=True, type=click.Choice(["v4", "v7"]), help="UUIDs."
)
@click.option(
    "--memory",
    default=4.0,
    show_default=True,
    type=click.FloatRange(min=0.25),
    help="GB that the server has, with what the kernel caches of its files.",
)
@click.option(
    "--directory",
    default=Path(tempfile.gettempdir()),
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    help="Where the data are meanwhile, on a disk.",
)
@click.option("--json", "as_json", is_flag=True, help="A line for each case, in place of tables.")
def growth(rows: tuple[int, ...], keys: tuple[Keys, ...], memory: float, directory: Path, *, as_json: bool) -> None:
    """Measure what a batch and each read cost when there are many activities, with random keys and with keys in order
    of time.

    An activity takes some 400 bytes of disk meanwhile, and a million of them some 10 seconds on an idle core.

    \b
    Examples:
      python -m benchmarks growth
      nice python -m benchmarks growth --rows 1000000 --rows 100000000 --directory /data
    """
    check_room(max(rows), directory)
    for number in rows:
        for kind in keys:
            case = measure_case(number, kind, partial(click.echo, err=True), directory, memory=int(memory * (1 << 30)))
            click.echo(to_json(case) if as_json else to_text(case))


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


def _measure_the_rest(made: Report, server: QueueServer, database: Database, messages: int, *, full: bool) -> None:
    with TlsProxy(server) as tls:
        for number in range(SCALE_ROUNDS):
            who = [each for each in OVER_TLS if full or each.each_round or number == 0]
            made.tls.append(
                [_told(measure(each, server, database, int(messages * each.share), tls=tls), "TLS") for each in who]
            )
    made.distant += [
        _told(measure(WORKER, server, database, messages, latency=AS_FAR_AS_SQS), f"{AS_FAR_AS_SQS} ms")
        for _ in range(SCALE_ROUNDS)
    ]
    seconds = FULL_LATENCY_SECONDS if full else QUICK_LATENCY_SECONDS
    for rate in RATES:
        latency = measure_latency(WORKER, server, database, rate, seconds)
        click.echo(f"  {rate}/s: p50 {latency.p50:.1f} ms, p99 {latency.p99:.1f} ms", err=True)
        made.latencies.append(latency)
    if full:
        made.scale += _scale(server, database)
        click.echo(f"  {LONG_RUN_MINUTES} minutes at {LONG_RUN_RATE}/s, and an idle minute", err=True)
        made.long_run = measure_long_run(server, database, LONG_RUN_RATE, LONG_RUN_MINUTES)
        made.idle = measure_idle(server, database)


def _scale(server: QueueServer, database: Database) -> Iterator[tuple[str, list[Result]]]:
    """Each case with its results; what is to be compared is measured in turn."""

    def of(rows: int = 0, latency: int = 0) -> Callable[[], Result]:
        return lambda: measure(WORKER, server, database, FULL_MESSAGES, rows=rows, latency=latency)

    def with_processes(count: int, share: float | None = None) -> Callable[[], Result]:
        return lambda: measure(workers(count), server, database, FULL_MESSAGES, share=share)

    yield from _in_turn({f"{ms} ms to SQS and back": of(latency=ms) for ms in (0, AS_FAR_AS_SQS, 20)})
    yield from _in_turn({f"{count} processes": with_processes(count) for count in (1, 2, 4)})
    if control_group.is_possible("cpu"):
        yield from _in_turn(
            {f"{count} processes, each {SHARE:g} of a core": with_processes(count, SHARE) for count in (1, 2, 3)}
        )
    for messages in (1000, 10_000, 100_000):
        yield f"backlog of {messages:,}", [measure(WORKER, server, database, messages)]
    for rows in (0, 1_000_000, 10_000_000):
        yield from _in_turn({f"{rows:,} users before": of(rows=rows)})


def _in_turn(cases: Mapping[str, Callable[[], Result]]) -> Iterator[tuple[str, list[Result]]]:
    results: dict[str, list[Result]] = {case: [] for case in cases}
    for _ in range(SCALE_ROUNDS):
        for case, run in cases.items():
            results[case].append(_told(run(), case))
    yield from results.items()


def _told(result: Result, case: str = "") -> Result:
    name = f"{result.contestant} {case}".strip()
    click.echo(f"  {name}: {result.per_second:,.0f}/s, {result.cpu:.0f} µs of CPU a message", err=True)
    return result


def main() -> None:
    try:
        cli(prog_name="python -m benchmarks")
    except CheckFailed as error:
        sys.exit(f"benchmarks: {error}")
    except NoRoom as error:
        click.echo(f"benchmarks: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
