"""The options that say which dead letters a command is about, and those that several commands have."""

import functools
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

from worker.cli.parameters import duration
from worker.dead_letters.dead_letter import Selection
from worker.failure import REASONS

_OPTIONS = (
    click.option(
        "--reason", "reasons", multiple=True, type=click.Choice(REASONS), help="Only this reason; repeatable."
    ),
    click.option("--type", "types", multiple=True, metavar="TYPE", help="Only this type of event; repeatable."),
    click.option(
        "--older-than", type=duration, metavar="DURATION", help="Only what was sent longer ago, for example 2h."
    ),
    click.option("--newer-than", type=duration, metavar="DURATION", help="Only what was sent since, for example 30m."),
    click.option("--match", "text", metavar="TEXT", help="Only bodies with this text, in upper or lower case."),
    click.option("--id", "ids", multiple=True, metavar="ID", help="Only this message or event; repeatable."),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many."),
)


def selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the filters, and pass them to it as `selection`."""

    @functools.wraps(command)
    def with_selection(
        *,
        reasons: tuple[str, ...],
        types: tuple[str, ...],
        older_than: timedelta | None,
        newer_than: timedelta | None,
        text: str | None,
        ids: tuple[str, ...],
        limit: int | None,
        **others: Any,
    ) -> Any:
        chosen = Selection(
            ids=frozenset(ids),
            reasons=frozenset(reasons),
            types=frozenset(types),
            sent_before=_ago(older_than),
            sent_after=_ago(newer_than),
            text=text,
            limit=limit,
        )
        return command(selection=chosen, **others)

    for option in reversed(_OPTIONS):
        option(with_selection)
    return with_selection


as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
rate = click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="At most N a second.")
yes = click.option("--yes", is_flag=True, help="Do not ask.")


def _ago(age: timedelta | None) -> float | None:
    return None if age is None else time.time() - age.total_seconds()
