"""The options that say which dead letters a command is about, and those that several commands have."""

import functools
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

from worker.cli import parameters
from worker.cli.parameters import duration
from worker.dead_letters.dead_letter import Match, Selection
from worker.failure import REASONS

_is_match = re.compile(r"([^\s=~.\"{}]+(?:\.[^\s=~.\"{}]+)*)([=~])(.*)", re.DOTALL).fullmatch


def match(text: str) -> Match:
    """`data.handle=ada`, or `data.handle~ad`. Raises `click.BadParameter`."""
    found = _is_match(parameters.text(text))
    if found is None:
        raise click.BadParameter(
            f"{text!r} is no member and its value, such as data.handle=ada; for a text anywhere in the body: --text"
        )
    path, sign, value = found.groups()
    return Match(tuple(path.split(".")), value, part=sign == "~")


_OPTIONS = (
    click.option(
        "--reason", "reasons", multiple=True, type=click.Choice(REASONS), help="Only this reason; repeatable."
    ),
    click.option(
        "--detail", type=parameters.text, metavar="TEXT", help="Only what failed with a detail that begins like this."
    ),
    click.option(
        "--type",
        "types",
        multiple=True,
        type=parameters.text,
        metavar="TYPE",
        help="Only this type of event; repeatable.",
    ),
    click.option(
        "--older-than", type=duration, metavar="DURATION", help="Only what was sent longer ago, for example 2h."
    ),
    click.option("--newer-than", type=duration, metavar="DURATION", help="Only what was sent since, for example 30m."),
    click.option(
        "--match",
        "matches",
        multiple=True,
        type=match,
        metavar="PATH=VALUE",
        help="Only events of which a member is this, such as data.handle=ada; PATH~TEXT: has this text; repeatable.",
    ),
    click.option(
        "--text",
        type=parameters.text,
        metavar="TEXT",
        help="Only bodies with this text anywhere, in upper or lower case.",
    ),
    click.option(
        "--id", "ids", multiple=True, type=parameters.text, metavar="ID", help="Only this message or event; repeatable."
    ),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many."),
)


def selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the filters, and pass them to it as `selection`."""

    @functools.wraps(command)
    def with_selection(
        *,
        reasons: tuple[str, ...],
        detail: str | None,
        types: tuple[str, ...],
        older_than: timedelta | None,
        newer_than: timedelta | None,
        matches: tuple[Match, ...],
        text: str | None,
        ids: tuple[str, ...],
        limit: int | None,
        **others: Any,
    ) -> Any:
        chosen = Selection(
            ids=frozenset(ids),
            reasons=frozenset(reasons),
            detail=detail,
            types=frozenset(types),
            sent_before=_ago(older_than),
            sent_after=_ago(newer_than),
            matches_all=matches,
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
