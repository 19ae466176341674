"""`signup-sync dlq stats`, `list` and `show`."""

from collections import Counter
from itertools import islice

import click

from worker.cli.commands.dlq import options
from worker.cli.commands.dlq.formats import (
    add_letter,
    age,
    echo_json,
    letter_in_full,
    letter_object,
    letters_table,
    show_letter,
)
from worker.cli.commands.dlq.queues import inspecting, open_queues
from worker.cli.progress import progress_bar
from worker.cli.refused import Refused
from worker.cli.terminal import Table
from worker.dead_letters.dead_letter import DeadLetter, Selection
from worker.dead_letters.scan import Scan
from worker.text import duration

MAX_SHOWN = 20  # messages of one event


@click.command
@options.as_json
def stats(as_json: bool) -> None:
    """Count the dead letters by reason and by type, and say how old the oldest is.

    What SQS itself moved, because the worker died on it, has no reason and is counted as worker_crashed. What others
    hold in this moment (a console that reads, another command) cannot be read and is in the total, as `held`.

    \b
    Examples:
      signup-sync dlq stats
      signup-sync dlq stats --json
    """
    reasons: Counter[str] = Counter()
    types: Counter[str] = Counter()
    oldest = 0.0
    with inspecting(open_queues().dead_letters) as inspection:
        with progress_bar("reading", inspection.attributes.visible) as advance:
            for letter in map(DeadLetter, inspection):
                reasons[letter.reason] += 1
                types[letter.event_type] += 1
                oldest = max(oldest, age(letter))
                advance(1)
        elsewhere = inspection.elsewhere
    if as_json:
        counts = {"messages": reasons.total(), "in_flight_elsewhere": elsewhere, "total": reasons.total() + elsewhere}
        echo_json({**counts, "by_reason": reasons, "by_type": types, "oldest_age_seconds": round(oldest)})
    else:
        _print_stats(reasons, types, oldest, elsewhere)


@click.command("list")
@options.selection
@options.as_json
def list_(selection: Selection, as_json: bool) -> None:
    """Show one line for each dead letter.

    The lines hold nothing of what people wrote; `show` does. The age is the time since it was sent to this queue, or
    to the events queue if SQS itself moved it. The attempts of worker_crashed include looks at it. Piped, it is
    fields with tabs in between.

    \b
    Examples:
      signup-sync dlq list
      signup-sync dlq list --reason unknown_author --older-than 1h
      signup-sync dlq list --match data.email=ada@example.org --json
    """
    table = letters_table()
    with inspecting(open_queues().dead_letters) as inspection:
        for letter in selection.choose(inspection):
            if as_json:
                echo_json(letter_object(letter))
            else:
                add_letter(table, letter)


@click.command
@click.argument("message_id", metavar="ID")
@options.as_json
def show(message_id: str, as_json: bool) -> None:
    """Show one dead letter in full, and whether the worker would take it today.

    ID is the message's, or its first eight characters, as `list` shows it, or the event's. This shows personal data.

    \b
    Examples:
      signup-sync dlq show 5fea7756-0ea4-451a-a703-a558b933e274
      signup-sync dlq show 5fea7756-0ea4-451a-a703-a558b933e274 --json
    """
    with inspecting(open_queues().dead_letters) as inspection:
        letters = list(islice(Selection(ids=frozenset({message_id})).choose(inspection), MAX_SHOWN))
        if not letters:
            raise not_found(message_id, inspection)
        inspection.finish()
    for letter in letters:
        if as_json:
            echo_json(letter_in_full(letter))
        else:
            show_letter(letter)


def not_found(message_id: str, inspection: Scan) -> Refused:
    others = inspection.elsewhere
    perhaps = f"; somebody else holds about {others} messages, try again in a moment" if others else ""
    return Refused(f"there is no dead letter {message_id}{perhaps}")


def _print_stats(reasons: Counter[str], types: Counter[str], oldest: float, elsewhere: int) -> None:
    table = Table([("", 6), ("", 28), ("COUNT", 0)])
    for name, counts in (("reason", reasons), ("type", types)):
        for value, count in counts.most_common():
            table.row(name, value, str(count))
    if elsewhere:
        table.row("held", "by somebody else just now", str(elsewhere))
    table.row("total", "", str(reasons.total() + elsewhere))
    if reasons:
        table.row("oldest", "", duration(oldest))
