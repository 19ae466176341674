"""`signup-sync dlq list` and `show`."""

from itertools import islice

import click

from worker.cli.commands.dlq import options
from worker.cli.commands.dlq.formats import (
    add_letter,
    echo_json,
    letter_in_full,
    letter_object,
    letters_table,
    show_letter,
)
from worker.cli.commands.dlq.queues import inspecting, open_queues
from worker.cli.parameters import text
from worker.cli.refused import Refused
from worker.dead_letters.dead_letter import Selection
from worker.dead_letters.scan import Scan

MAX_SHOWN = 20  # messages of one event


@click.command("list")
@options.selection
@options.as_json
def list_(selection: Selection, as_json: bool) -> None:
    """Show one line for each dead letter.

    The lines hold nothing of what people wrote; `show` does. The age is the time since it was sent to this queue, or
    to the queue that it came from if SQS itself moved it. The attempts of worker_crashed include looks at it. Piped,
    it is fields with tabs in between.

    \b
    Examples:
      signup-sync dlq list
      signup-sync dlq list --reason unknown_author --older-than 1h
      signup-sync dlq list --reason invalid_event --detail data.handle
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
@click.argument("message_id", type=text, metavar="ID")
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
