"""Progress bar on standard error, if that is a terminal; what a command prints goes to standard output as ever."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from worker.settings import no_color

Advance = Callable[[int], None]


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Advance]:
    """Show a bar as long as the context lasts; gives what is to be called with the number of steps done.

    `total` is None if nobody knows.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True, no_color=no_color())
    # Lines printed meanwhile move the bar down, as long as they go to the terminal too; a pipe must still get them.
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as progress:
        task = progress.add_task(description, total=total)
        yield lambda steps: progress.advance(task, steps)
