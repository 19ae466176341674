"""Measurements: what the worker has done so far, counted; and minute by minute, for the last hour.

Counted once, here, in plain numbers under one lock, and at a batch's end rather than at each message: the formats
(`worker.telemetry.prometheus`, `worker.telemetry.emf`, `worker.telemetry.admin_server`) are made when somebody asks. A
message costs about a microsecond.
"""

import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Self

from db.tables.worker_pause import WorkerPause
from worker.aws.sqs import Received
from worker.telemetry.instrumentation import Committed, Instrumentation

if TYPE_CHECKING:
    from worker.delivery import Delivery

HOUR = 60  # minutes
MAX_OUTAGES = 60  # that are remembered
STEPS = 4  # buckets that a histogram has for each one that it shows, so that its quantiles are closer


def _bounds(*shown: float) -> tuple[float, ...]:
    """The upper bounds of all buckets; each `STEPS`th is a shown one, those between are in geometric progression."""
    between = [low * (high / low) ** (step / STEPS) for low, high in pairwise(shown) for step in range(STEPS)]
    return (*between, shown[-1])


_MESSAGES = _bounds(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_COMMIT = _bounds(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_LAG = _bounds(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400, 604_800, 1_209_600)


class Histogram:
    """How many values there were in each bucket, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last one for values above all bounds
        self.sum = 0.0

    def observe(self, values: Iterable[float]) -> None:
        for value in values:
            self.counts[bisect_left(self.bounds, value)] += 1
            self.sum += value

    @property
    def count(self) -> int:
        return sum(self.counts)

    def add(self, other: "Histogram") -> None:
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    def since(self, earlier: "Histogram") -> "Histogram":
        """What came after that one, which is an earlier state of this one."""
        difference = Histogram(self.bounds)
        difference.counts = [now - then for now, then in zip(self.counts, earlier.counts, strict=True)]
        difference.sum = self.sum - earlier.sum
        return difference

    def shown(self) -> list[tuple[float, int]]:
        """The shown upper bounds, each with the number of values up to it."""
        cumulative, total = [], 0
        for index, bound in enumerate(self.bounds):
            total += self.counts[index]
            if index % STEPS == 0:
                cumulative.append((bound, total))
        return cumulative

    def quantile(self, fraction: float) -> float | None:
        """The value below which this part of all values is, interpolated inside its bucket; None without values."""
        rank = fraction * self.count
        below = 0
        for index, count in enumerate(self.counts[:-1]):
            if count and below + count >= rank:
                low = self.bounds[index - 1] if index else 0.0
                return low + (self.bounds[index] - low) * (rank - below) / count
            below += count
        return self.bounds[-1] if self.counts[-1] else None


@dataclass
class Totals:
    """All since the start. `sqs_calls` is by operation and outcome, the other counters by type or by reason."""

    received: int = 0
    committed: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)  # what came of somebody who is deleted
    retried: Counter[str] = field(default_factory=Counter)
    released: int = 0
    dead_lettered: Counter[str] = field(default_factory=Counter)
    sqs_calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    batch_messages: Histogram = field(default_factory=lambda: Histogram(_MESSAGES))
    commit_seconds: Histogram = field(default_factory=lambda: Histogram(_COMMIT))
    lag_seconds: Histogram = field(default_factory=lambda: Histogram(_LAG))

    def since(self, earlier: Self) -> "Totals":
        """What came after that one, which is an earlier state of this one."""
        return Totals(
            self.received - earlier.received,
            self.committed - earlier.committed,
            self.duplicates - earlier.duplicates,
            self.ignored - earlier.ignored,
            self.retried - earlier.retried,
            self.released - earlier.released,
            self.dead_lettered - earlier.dead_lettered,
            self.sqs_calls - earlier.sqs_calls,
            self.batch_messages.since(earlier.batch_messages),
            self.commit_seconds.since(earlier.commit_seconds),
            self.lag_seconds.since(earlier.lag_seconds),
        )


@dataclass
class Minute:
    """What happened in one minute, `number` minutes after the epoch; `oldest` is in seconds. `visible` is how many
    messages of the queue nobody had, None if it was not asked."""

    number: int
    received: int = 0
    committed: int = 0
    visible: int | None = None
    oldest: float = 0.0
    lag_seconds: Histogram = field(default_factory=lambda: Histogram(_LAG))


@dataclass(frozen=True)
class Pause:
    """The database is away, since that time; or was, until then."""

    since: datetime
    reason: str
    until: datetime | None = None


class Measurements(Instrumentation):
    """Counts what it is told. Safe to use from any thread."""

    def __init__(self) -> None:
        self.started_at = datetime.now(UTC)
        self.pause: Pause | None = None
        self.operator_pause: WorkerPause | None = None
        self._lock = threading.Lock()
        self._totals = Totals()
        self._minutes: deque[Minute] = deque(maxlen=HOUR)
        self._past_outages: deque[Pause] = deque(maxlen=MAX_OUTAGES)

    def totals(self) -> Totals:
        """As they are now; they do not change any more."""
        with self._lock:
            return deepcopy(self._totals)

    def last_hour(self) -> list[Minute]:
        """One for each minute of the last hour since the start, the current one last."""
        now = int(time.time() // 60)
        with self._lock:
            # Only the last one still changes.
            known = {minute.number: minute for minute in (*self._minutes, *deepcopy(list(self._minutes)[-1:]))}
        first = max(now - HOUR + 1, int(self.started_at.timestamp() // 60))
        return [known.get(number) or Minute(number) for number in range(first, now + 1)]

    def outages(self) -> list[Pause]:
        """Those that were not over an hour ago, the newest last."""
        begin = datetime.now(UTC) - timedelta(minutes=HOUR)
        with self._lock:
            past = [pause for pause in self._past_outages if pause.until and pause.until > begin]
            return [*past, self.pause] if self.pause else past

    def visible(self, messages: int) -> None:
        """So many messages of the queue nobody has."""
        with self._lock:
            minute = self._minute()
            minute.visible = max(messages, minute.visible or 0)

    def oldest_received(self) -> float | None:
        """Seconds that the longest-waiting message of the last one to two minutes had been in the queue when it was
        received; 0 if none came, and None while nothing is received because the database is away, or in a pause."""
        if self.pause is not None or self.operator_pause is not None:
            return None
        return max((minute.oldest for minute in self.last_hour()[-2:]), default=0.0)

    def received(self, messages: Sequence[Received]) -> None:
        if not messages:
            return
        age = time.time() - min(message.sent_at for message in messages)
        with self._lock:
            self._totals.received += len(messages)
            minute = self._minute()
            minute.received += len(messages)
            minute.oldest = max(minute.oldest, age)

    def committed(self, batch: Committed) -> None:
        types = Counter(event.type for event in batch.events)
        now = datetime.now(UTC)
        lags = Histogram(_LAG)
        lags.observe(max(0.0, (now - event.time).total_seconds()) for event in batch.new_events)
        new = batch.written.new()
        ignored = batch.written.ignored(batch.events)
        with self._lock:
            totals, minute = self._totals, self._minute()
            totals.committed.update(types)
            totals.ignored.update(ignored)
            totals.duplicates.update({name: max(0, n - new[name] - ignored[name]) for name, n in types.items()})
            totals.batch_messages.observe([len(batch.deliveries)])
            totals.commit_seconds.observe([batch.ended - batch.began])
            totals.lag_seconds.add(lags)
            minute.committed += len(batch.deliveries)
            minute.lag_seconds.add(lags)

    def retried(self, delivery: "Delivery", reason: str) -> None:  # noqa: ARG002 (the hook's signature)
        with self._lock:
            self._totals.retried[reason] += 1

    def released(self, messages: int) -> None:
        with self._lock:
            self._totals.released += messages

    def dead_lettered(self, delivery: "Delivery", reason: str) -> None:  # noqa: ARG002 (the hook's signature)
        with self._lock:
            self._totals.dead_lettered[reason] += 1

    def sqs_called(self, operation: str, outcome: str) -> None:
        with self._lock:
            self._totals.sqs_calls[operation, outcome] += 1

    def paused(self, reason: str) -> None:
        with self._lock:
            self.pause = Pause(datetime.now(UTC), reason)

    def resumed(self) -> None:
        with self._lock:
            if self.pause is not None:
                self._past_outages.append(replace(self.pause, until=datetime.now(UTC)))
            self.pause = None

    def paused_by_operator(self, pause: WorkerPause) -> None:
        self.operator_pause = pause

    def resumed_by_operator(self) -> None:
        self.operator_pause = None

    def _minute(self) -> Minute:
        number = int(time.time() // 60)
        if not self._minutes or self._minutes[-1].number != number:
            self._minutes.append(Minute(number))
        return self._minutes[-1]
