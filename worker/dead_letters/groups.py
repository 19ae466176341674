"""Groups of dead letters: those that failed for the same reason with the same detail, and since when."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from worker.dead_letters.dead_letter import DeadLetter

HOUR = 3600.0  # seconds
HOURS = 24  # of which each group says how many messages it had


@dataclass(frozen=True, slots=True)
class Group:
    """`first_at` and `last_at` are when the oldest and the newest were sent, since the epoch. `hourly` is how many were
    sent in each of the last `HOURS` hours, the last one last."""

    reason: str
    detail: str
    messages: int
    first_at: float
    last_at: float
    hourly: tuple[int, ...]

    @property
    def last_hour(self) -> int:
        return self.hourly[-1]


def groups_of(letters: Iterable[DeadLetter], now: float) -> list[Group]:
    """The largest first. `now` is in seconds since the epoch."""
    counts: Counter[tuple[str, str]] = Counter()
    hourly: Counter[tuple[str, str, int]] = Counter()
    first: dict[tuple[str, str], float] = {}
    last: dict[tuple[str, str], float] = {}
    for letter in letters:
        key, sent_at = (letter.reason, letter.detail), letter.message.sent_at
        counts[key] += 1
        hourly[(*key, max(0, int((now - sent_at) // HOUR)))] += 1
        first[key] = min(first.get(key, sent_at), sent_at)
        last[key] = max(last.get(key, sent_at), sent_at)
    return [
        Group(*key, count, first[key], last[key], tuple(hourly[(*key, ago)] for ago in reversed(range(HOURS))))
        for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
