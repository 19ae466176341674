"""Dead letters in words: as a row, as JSON, in full."""

import json
import time
from collections.abc import Iterable
from typing import Any

import click

from worker.cli.terminal import Table, styled
from worker.dead_letters.dead_letter import SHORT_ID, DeadLetter
from worker.dead_letters.files import written_attributes, written_time
from worker.dead_letters.groups import Group
from worker.dead_letters.lossless_json import pretty
from worker.text import duration, printable

_REASON = 20  # characters, the longest of ours


def letters_table() -> Table:
    """The table of `list`; see `add_letter`."""
    return Table([("ID", SHORT_ID), ("AGE", 6), ("REASON", _REASON), ("DETAIL", 0)], wraps=True)


def add_letter(table: Table, letter: DeadLetter) -> None:
    """A row without anything of what people wrote; on a terminal what matters first, and the id's beginning."""
    attempts, detail = str(letter.attempts), letter.detail or "-"
    if not table.on_terminal:
        table.row(letter.id, duration(age(letter)), attempts, letter.reason, letter.event_type, detail)
        return
    about = f"{detail} ({letter.event_type}, {attempts} {'attempt' if attempts == '1' else 'attempts'})"
    table.row(letter.short_id, duration(age(letter)), letter.reason, about)


def letter_object(letter: DeadLetter) -> dict[str, Any]:
    """What `list --json` prints; nothing of what people wrote."""
    return {
        "id": letter.id,
        "event_id": letter.event_id,
        "type": letter.event_type,
        "reason": letter.reason,
        "detail": letter.detail or None,
        "failed_at": letter.failed_at or None,
        "age_seconds": round(age(letter)),
        "attempts": letter.attempts,
        "source_queue": letter.source_queue,
    }


def letter_in_full(letter: DeadLetter) -> dict[str, Any]:
    """What `show --json` prints."""
    problem = letter.problem
    attributes = written_attributes(letter.message.attributes)
    message = {"attributes": attributes, "body": letter.message.body}
    return {**letter_object(letter), **message, "valid": problem is None, "problem": problem}


def show_letter(letter: DeadLetter) -> None:
    """For a person: everything, and whether the worker would take it today."""
    for name, value in letter_object(letter).items():
        shown = duration(age(letter)) if name == "age_seconds" else "-" if value is None else str(value)
        _line(name.removesuffix("_seconds"), shown)
    click.echo("\n" + styled("attributes", bold=True))
    for name, attribute in sorted(written_attributes(letter.message.attributes).items()):
        _line(name, attribute.get("StringValue") or attribute.get("BinaryValue") or "")
    click.echo("\n" + styled("body", bold=True))
    click.echo(printable(pretty(letter.message.body), lines=True))
    click.echo("\n" + styled("today", bold=True))
    problem = letter.problem
    if problem is None:
        click.echo(styled("  valid: the worker would take it", color="green"))
    else:
        click.echo(styled(printable(f"  invalid: {problem}"), color="red"))


def groups_table(groups: Iterable[Group]) -> Table:
    """The table of these groups, for `stats`; see `add_group`. The detail gets all the room that there is."""
    reason = min(_REASON, max([len("REASON"), *(len(group.reason) for group in groups)]))
    return Table([("REASON", reason), ("COUNT", 6), ("SINCE", 6), ("LAST HOUR", 9), ("DETAIL", 0)], wraps=True)


def add_group(table: Table, group: Group, now: float) -> None:
    """A row; piped, its first field tells it from the other lines of `stats`. `now` is in seconds since the epoch."""
    count, since, last_hour = str(group.messages), duration(max(0.0, now - group.first_at)), str(group.last_hour)
    detail = group.detail or "-"
    if table.on_terminal:
        table.row(group.reason, count, since, last_hour, detail)
    else:
        table.row("group", group.reason, detail, count, since, last_hour)


def group_object(group: Group) -> dict[str, Any]:
    """What `stats --json` says of a group."""
    return {
        "reason": group.reason,
        "detail": group.detail or None,
        "messages": group.messages,
        "since": written_time(group.first_at),
        "last_at": written_time(group.last_at),
        "hourly": group.hourly,
    }


def echo_json(content: dict[str, Any]) -> None:
    click.echo(json.dumps(content))


def age(letter: DeadLetter) -> float:
    """Seconds since it was sent."""
    return max(0.0, time.time() - letter.message.sent_at)


def _line(name: str, value: str) -> None:
    click.echo(f"  {printable(name):<18} {printable(value)}")
