"""Replays: which dead letters may be sent back, as they were or edited, and in which words their outcome is told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from signup_sync.sqs import MESSAGE_BYTES
from worker.aws.sqs import LEASE_LOST
from worker.dead_letters.dead_letter import DeadLetter, problem_of
from worker.dead_letters.lossless_json import NotAnObject, member, with_member
from worker.dead_letters.requeue import NO_QUEUE, Result
from worker.dead_letters.source_queues import unnamed

Outcome = Literal["replayed", "would_replay", "sent_before", "invalid", "came_back", "not_sent", "not_deleted"]

COMPLETE: tuple[Outcome, ...] = ("replayed", "would_replay", "sent_before", "came_back")
"""Of these nothing was left that should have been replayed."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A dead letter and the body it is to have."""

    letter: DeadLetter
    body: str

    @property
    def problem(self) -> str | None:
        """Why the worker would refuse it, None if it would not."""
        try:
            size = self.letter.original(self.body).size
        except UnicodeEncodeError:
            return "it has text that is not UTF-8"
        if size > MESSAGE_BYTES:
            return f"longer than {MESSAGE_BYTES} bytes"
        return problem_of(self.body, self.letter.source_queue)


def edit_of(letter: DeadLetter, assignments: Sequence[tuple[str, str]]) -> Edit:
    """The letter with members set: the keys that lead to each, with dots in between, and its value as JSON.

    Raises `NotAnObject`, which names the member that has no place.
    """
    body = letter.message.body
    for path, value in assignments:
        try:
            body = with_member(body, path, value)
        except NotAnObject as error:
            raise NotAnObject(f"cannot set {path}: {error}") from None
    return Edit(letter, body)


def alike(edits: Iterable[Edit], paths: Sequence[str]) -> list[list[Edit]]:
    """Edits that give these members the same values, in groups in which the values before were the same as well.

    The largest first. A path is the keys of a member with dots in between.
    """
    groups: dict[tuple[str | None, ...], list[Edit]] = {}
    for edit in edits:
        before = tuple(member(edit.letter.message.body, path) for path in paths)
        groups.setdefault(before, []).append(edit)
    return sorted(groups.values(), key=len, reverse=True)


def reason_to_leave(letter: DeadLetter, began: float) -> tuple[Outcome, str] | None:
    """Why it is not sent back as it is by a replay that `began` then (seconds since the epoch, of SQS's clock)."""
    problem = letter.problem
    if problem is not None:
        return "invalid", f"it would fail again: {problem}"
    return came_back(letter, began)


def came_back(letter: DeadLetter, began: float) -> tuple[Outcome, str] | None:
    """Whether it is not of those that were there when the replay began."""
    # SQS's time is given in whole seconds.
    return ("came_back", "it failed while this was running") if letter.message.sent_at > began + 1 else None


def outcome_of(result: Result[Any]) -> tuple[Outcome, str]:
    """What a transfer did, and, where that was not all, why."""
    if result.code is None:
        return "replayed", ""
    if result.code == NO_QUEUE:
        return "not_sent", unnamed(result.entry)
    if result.sent:
        return "not_deleted", f"sent, but still here too ({result.code}): another replay is safe"
    if result.code in LEASE_LOST:
        return "not_sent", "its lease is over, and somebody else may hold it"
    return "not_sent", f"SQS did not take it: {result.code}"
