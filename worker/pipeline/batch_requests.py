"""Batch requests: entries on their way to one kind of call, sent in tens, and again with backoff where they failed."""

import queue
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from signup_sync.backoff import exponential
from signup_sync.sqs import BATCH_ENTRIES, Failure, SqsError
from worker.aws.sqs import CALL_LIMIT, LEASE_LOST, NOT_TAKEN
from worker.clock import SYSTEM_CLOCK, Clock
from worker.clock import Queue as ClockQueue
from worker.failure_log import FailureLog
from worker.telemetry.instrumentation import NO_INSTRUMENTATION, Instrumentation

LINGER = 0.02  # seconds that a call waits for its ten entries
FIRST_RETRY = 0.1  # seconds
MAX_RETRY = 5.0  # seconds


EntryT = TypeVar("EntryT")


def _all_at_once(entries: Sequence[EntryT]) -> Iterable[Sequence[EntryT]]:
    return [entries]


class BatchRequests(Generic[EntryT]):
    """One kind of batch call, and what waits for it; `run` is its thread.

    `call` makes it and returns what failed. `settle` is told each entry's result, a code or None for success, and says
    whether that was the last word; if not, the entry is tried again for as long as `until` (of the clock) says
    that it makes sense, and then given to `leave`.
    """

    def __init__(
        self,
        name: str,
        call: Callable[[Sequence[EntryT]], list[Failure]],
        settle: Callable[[EntryT, str | None], bool],
        leave: Callable[[EntryT], None],
        until: Callable[[EntryT], float],
        split: Callable[[Sequence[EntryT]], Iterable[Sequence[EntryT]]] = _all_at_once,
        instrumentation: Instrumentation = NO_INSTRUMENTATION,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = name
        self._call = call
        self._settle = settle
        self._leave = leave
        self._until = until
        self._split = split
        self._instrumentation = instrumentation
        self._clock = clock
        self._entries: ClockQueue[EntryT | None] = clock.queue()
        self._give_up = clock.event()
        self._ended = clock.event()
        self._failures = FailureLog("acknowledge_failed", "acknowledge_recovered", call=name)

    def put(self, entry: EntryT) -> None:
        """Have it dealt with, some time after this returns."""
        self._entries.put(entry)

    def close(self) -> None:
        """`run` returns when all entries so far have been dealt with."""
        self._entries.put(None)

    def wait_until_ended(self, deadline: float) -> bool:
        """Wait until `run` has returned, at most until the deadline (of the clock)."""
        return self._ended.wait(max(0.0, deadline - self._clock.monotonic()))

    def abandon(self) -> None:
        """`run` returns as soon as it can; entries that failed are not tried again."""
        self._give_up.set()

    def run(self) -> None:
        """Deal with entries until closed."""
        closing = False
        delays = exponential(FIRST_RETRY, MAX_RETRY)
        again: list[EntryT] = []
        while not self._give_up.is_set() and not (closing and not again):
            batch, ended = self._take(again, closing=closing)
            closing = closing or ended
            again = [entry for part in self._split(batch) for entry in self._try(part)]
            self._instrumentation.idle()
            if again:
                self._give_up.wait(next(delays))
            else:
                delays = exponential(FIRST_RETRY, MAX_RETRY)
        self._ended.set()

    def _take(self, again: list[EntryT], *, closing: bool) -> tuple[list[EntryT], bool]:
        """Up to ten entries, those that failed before first; and whether the lane was closed behind them."""
        batch = again
        until = self._clock.monotonic() + LINGER
        while len(batch) < BATCH_ENTRIES and not closing:
            try:
                entry = self._entries.get(timeout=max(0.0, until - self._clock.monotonic()) if batch else None)
            except queue.Empty:
                break
            if entry is None:
                return batch, True
            if not batch:
                until = self._clock.monotonic() + LINGER
            batch.append(entry)
        return batch, False

    def _try(self, batch: Sequence[EntryT]) -> list[EntryT]:
        """Call, and return what is to be tried again."""
        if not batch:
            return []
        self._instrumentation.busy(CALL_LIMIT)
        try:
            codes = {failure.index: failure.code for failure in self._call(batch)}
        except SqsError as error:
            if len(batch) > 1 and error.code in LEASE_LOST | NOT_TAKEN:  # one of them is to blame
                return [again for entry in batch for again in self._try([entry])]
            codes = dict.fromkeys(range(len(batch)), error.code)
        self._report(codes)
        left = [entry for index, entry in enumerate(batch) if not self._settle(entry, codes.get(index))]
        return [entry for entry in left if self._has_time(entry)]

    def _has_time(self, entry: EntryT) -> bool:
        if self._until(entry) > self._clock.monotonic():
            return True
        self._leave(entry)
        return False

    def _report(self, codes: dict[int, str]) -> None:
        """Once when it begins to fail, and once when it works again."""
        failures = [code for code in codes.values() if code not in LEASE_LOST]
        if failures:
            self._failures.failure(code=failures[0])
        else:
            self._failures.success()
