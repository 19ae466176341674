"""`signup-sync dlq stats`."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import click

from worker.cli.commands.dlq import options
from worker.cli.commands.dlq.formats import add_group, echo_json, group_object, groups_table
from worker.cli.commands.dlq.queues import inspecting, open_queues
from worker.cli.progress import Advance, progress_bar
from worker.cli.terminal import Table
from worker.dead_letters.dead_letter import DeadLetter
from worker.dead_letters.groups import Group, groups_of
from worker.text import duration

MAX_GROUPS = 20  # that are shown


@click.command
@options.as_json
def stats(as_json: bool) -> None:
    """Count the dead letters by what they failed with, and say since when.

    A group is what failed for the same reason with the same detail: how many they are, the age of the oldest, and how
    many came in the last hour. --reason and --detail choose a group for the other commands. The 20 largest are shown,
    with --json all of them. Below are the sums by reason and by type.

    What SQS itself moved, because the worker died on it, has no reason and is counted as worker_crashed. What others
    hold in this moment (a console that reads, another command) cannot be read and is in the total, as `held`. Piped, it
    is fields with tabs in between.

    \b
    Examples:
      signup-sync dlq stats
      signup-sync dlq stats --json
    """
    types: Counter[str] = Counter()
    now = time.time()
    with inspecting(open_queues().dead_letters) as inspection:
        with progress_bar("reading", inspection.attributes.visible) as advance:
            groups = groups_of(_counted(map(DeadLetter, inspection), types, advance), now)
        elsewhere = inspection.elsewhere
    reasons = _reasons(groups)
    oldest = max([0.0, *(now - group.first_at for group in groups)])
    if as_json:
        counts = {"messages": reasons.total(), "in_flight_elsewhere": elsewhere, "total": reasons.total() + elsewhere}
        sums = {"by_reason": reasons, "by_type": types, "oldest_age_seconds": round(oldest)}
        echo_json({**counts, **sums, "groups": [group_object(group) for group in groups]})
    else:
        _print_groups(groups, now)
        _print_sums(reasons, types, oldest, elsewhere)


def _counted(letters: Iterable[DeadLetter], types: Counter[str], advance: Advance) -> Iterator[DeadLetter]:
    """The letters, of which the types are counted as they pass: there may be too many to keep."""
    for letter in letters:
        types[letter.event_type] += 1
        advance(1)
        yield letter


def _reasons(groups: Sequence[Group]) -> Counter[str]:
    reasons: Counter[str] = Counter()
    for group in groups:
        reasons[group.reason] += group.messages
    return reasons


def _print_groups(groups: Sequence[Group], now: float) -> None:
    shown, others = groups[:MAX_GROUPS], groups[MAX_GROUPS:]
    table = groups_table(shown)
    for group in shown:
        add_group(table, group, now)
    if others:
        messages = sum(group.messages for group in others)
        click.echo(f"more groups: {len(others)}, of {messages} dead letters (--json has all)")
    if groups and table.on_terminal:
        click.echo()


def _print_sums(reasons: Counter[str], types: Counter[str], oldest: float, elsewhere: int) -> None:
    table = Table([("", 6), ("", 28), ("COUNT", 0)])
    for name, counts in (("reason", reasons), ("type", types)):
        for value, count in counts.most_common():
            table.row(name, value, str(count))
    if elsewhere:
        table.row("held", "by somebody else just now", str(elsewhere))
    table.row("total", "", str(reasons.total() + elsewhere))
    if reasons:
        table.row("oldest", "", duration(oldest))
