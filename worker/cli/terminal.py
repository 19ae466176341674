"""The terminal: colours where they are wanted, tables where they fit."""

import shutil
import sys
import textwrap
from collections.abc import Sequence

import click

from worker.settings import no_color
from worker.text import printable

_COLUMN_GAP = "  "
_NARROWEST = 10  # characters of a last column, however narrow the terminal is


def styled(text: str, *, color: str | None = None, bold: bool = False) -> str:
    """For standard output; plain unless that is a terminal on which colours are wanted."""
    return click.style(text, fg=color, bold=bold) if sys.stdout.isatty() and not no_color() else text


class Table:
    """Rows as they come: columns under a heading on a terminal, else fields with tabs in between.

    A column is as wide as it was said to be; the last one gets what is left of the line, and `wraps` there or is cut.
    """

    def __init__(self, columns: Sequence[tuple[str, int]], *, wraps: bool = False) -> None:
        """`columns`: each one's heading, and its width in characters."""
        self._widths = [width for _, width in columns]
        self.on_terminal = sys.stdout.isatty()
        self._wraps = wraps
        self._line = shutil.get_terminal_size().columns
        self._headings: Sequence[str] = [heading for heading, _ in columns]

    def row(self, *cells: str) -> None:
        if not self.on_terminal:
            click.echo("\t".join(map(printable, cells)))
            return
        if self._headings:
            click.echo(styled(self._laid_out(self._headings), bold=True))
            self._headings = ()
        click.echo(self._laid_out([printable(cell) for cell in cells]))

    def _laid_out(self, cells: Sequence[str]) -> str:
        line = _COLUMN_GAP.join(cell.ljust(width) for cell, width in zip(cells, self._widths, strict=True)).rstrip()
        if len(line) <= self._line:
            return line
        return self._wrapped(line, cells[-1]) if self._wraps else line[: max(1, self._line - 1)] + "…"

    def _wrapped(self, line: str, last: str) -> str:
        begin = line[: len(line) - len(last)]
        lines = textwrap.wrap(last, max(_NARROWEST, self._line - len(begin)), break_on_hyphens=False)
        return begin + ("\n" + " " * len(begin)).join(lines)
