"""What became of the messages of a command: each that was not done is named, and all are counted by reason."""

from collections import Counter
from typing import Generic, Protocol, TypeVar

import click

from worker.cli.commands.dlq.formats import echo_json
from worker.cli.progress import Advance
from worker.cli.terminal import Table
from worker.dead_letters.replay import COMPLETE, Outcome, outcome_of
from worker.dead_letters.requeue import Keyed, Result
from worker.text import printable


class Named(Keyed, Protocol):
    @property
    def label(self) -> str: ...
    @property
    def reason(self) -> str: ...


NamedT = TypeVar("NamedT", bound=Named)


class Report(Generic[NamedT]):
    """Prints as it is told, and `summary` at the end; not to be used from several threads."""

    def __init__(self, advance: Advance, *, as_json: bool = False) -> None:
        self._advance = advance
        self._as_json = as_json
        self._counts: Counter[tuple[str, Outcome]] = Counter()

    @property
    def complete(self) -> bool:
        """Whether nothing was left that should have been replayed."""
        return all(outcome in COMPLETE for _, outcome in self._counts)

    def result(self, result: Result[NamedT]) -> None:
        """Of a transfer."""
        self._say(result.entry, *outcome_of(result))

    def left(self, entry: NamedT, outcome: Outcome, why: str) -> None:
        """It was not tried; without a `why` nothing is printed but JSON."""
        self._say(entry, outcome, why)

    def summary(self) -> None:
        """By reason; not for programs, who were told of each."""
        if self._as_json:
            return
        if not self._counts:
            click.echo("nothing to do")
            return
        table = Table([("OUTCOME", 12), ("REASON", 22), ("COUNT", 0)])
        for (reason, outcome), count in sorted(self._counts.items(), key=lambda item: (item[0][1], item[0][0])):
            table.row(outcome, reason, str(count))

    def _say(self, entry: NamedT, outcome: Outcome, why: str) -> None:
        self._counts[entry.reason, outcome] += 1
        self._advance(1)
        if self._as_json:
            echo_json({"id": entry.id, "reason": entry.reason, "outcome": outcome, "detail": why or None})
        elif why:
            click.echo(printable(f"left {entry.label} ({entry.reason}): {why}"))
