"""What became of the messages of a command: each that was not done is named, and all are counted by reason."""

from collections import Counter
from typing import Generic, Literal, Protocol, TypeVar

import click

from worker.commands.dlq.words import echo_json
from worker.progress import Advance
from worker.terminal import Table, printable
from worker.transfer import LEASE_LOST, Result

Outcome = Literal["replayed", "would_replay", "sent_before", "invalid", "came_back", "not_sent", "not_deleted"]

_COMPLETE: tuple[Outcome, ...] = ("replayed", "would_replay", "sent_before", "came_back")


class Named(Protocol):
    @property
    def id(self) -> str: ...
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
        return all(outcome in _COMPLETE for _, outcome in self._counts)

    def result(self, result: Result[NamedT]) -> None:
        """Of a transfer."""
        if result.code is None:
            self._say(result.entry, "replayed", "")
        elif result.sent:
            self._say(result.entry, "not_deleted", f"sent, but still here too ({result.code}): another replay is safe")
        elif result.code == LEASE_LOST:
            self._say(result.entry, "not_sent", "its lease is over, and somebody else may hold it")
        else:
            self._say(result.entry, "not_sent", f"SQS did not take it: {result.code}")

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
