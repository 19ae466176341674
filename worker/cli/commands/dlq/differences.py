"""Differences that edits make, as they are shown before anything is sent."""

from collections.abc import Sequence

import click

from worker.cli.terminal import styled
from worker.dead_letters.differences import difference
from worker.dead_letters.lossless_json import pretty
from worker.dead_letters.replay import Edit
from worker.text import printable

MAX_DIFFERENCES = 5  # that are shown of a bulk edit

_COLORS = {"+": "green", "-": "red", "@": "cyan"}


def show_differences(groups: Sequence[Sequence[Edit]]) -> None:
    """One of each group of edits that are alike, and how many more they are; of many groups the first."""
    for edit, *others in groups[:MAX_DIFFERENCES]:
        show_difference(edit)
        if others:
            click.echo(f"and {len(others)} alike")
    rest = sum(map(len, groups[MAX_DIFFERENCES:]))
    if rest:
        click.echo(f"and {rest} in which other values change")


def show_difference(edit: Edit) -> None:
    """All lines that change, and some around them."""
    lines = difference(pretty(edit.letter.message.body), pretty(edit.body), (edit.letter.id, "edited"))
    for line in lines or [f"  {edit.letter.id}: nothing changes"]:
        click.echo(styled(printable(line), color=_COLORS.get(line[:1])))
