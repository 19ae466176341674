"""What the demo shows: numbered steps, one line for each thing that happened, and tables."""

import sys
import time
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.settings import no_color

PIPE_WIDTH = 120  # characters: a row of a table is a line of a file


class Screen:
    """Standard output. Lines begin with the seconds since the start; colours appear on a terminal only."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else PIPE_WIDTH
        self._console = Console(highlight=False, no_color=no_color(), width=width)
        self._started = time.monotonic()
        self._steps = 0

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def title(self, text: str) -> None:
        self._print(Text(text, style="bold"))

    def step(self, text: str) -> None:
        """The heading of what follows."""
        self._steps += 1
        self._print(Text(f"\n{self._steps}. {text}", style="bold cyan"))

    def tell(self, text: str, *, style: str = "") -> None:
        """Something that has happened just now; further lines stand below the first."""
        time_of_it = f"{self.seconds:6.1f} s  "
        lines = text.replace("\n", "\n" + " " * len(time_of_it))
        self._print(Text.assemble((time_of_it, "dim"), (lines, style)))

    def plain(self, text: str = "", *, style: str = "") -> None:
        self._print(Text(text, style=style))

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Rows under their title. Numbers stand to the right."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for position, heading in enumerate(headings):
            numbers = all(isinstance(row[position], int) for row in rows)
            table.add_column(heading, justify="right" if numbers else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text("-" if cell is None else str(cell)) for cell in row))
        self._print(Text(f"\n{title}", style="bold"))
        self._console.print(table)

    def _print(self, text: Text) -> None:
        # As long as it is, so that it can be copied; a terminal breaks the line itself.
        self._console.print(text, soft_wrap=True)
