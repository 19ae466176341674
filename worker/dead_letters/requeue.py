"""Requeue: to its source queue goes what is somewhere else by now, which then lets go of it.

An entry is let go of when its own send was acknowledged, and never before: whatever ends the command in between leaves
the entry in both places, and writing an event twice does no harm.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from signup_sync.backoff import exponential
from signup_sync.sqs import BATCH_ENTRIES, MESSAGE_BYTES, Outgoing, send_until_taken
from worker.aws.sqs import NOT_IN_FLIGHT, Queue
from worker.dead_letters.source_queues import Sourced, SourceQueues
from worker.pace import Pace

LANES = 8  # batches under way at once
ATTEMPTS = 5  # to let go of an entry, each after a longer wait
FIRST_RETRY = 0.2  # seconds
MAX_RETRY = 2.0  # seconds

NO_QUEUE = "no_queue"
"""The code of an entry whose queue the settings do not name."""


class Source(Protocol):
    """Where the entries come from."""

    def has(self, key: str) -> bool:
        """Whether the entry is still ours to send."""

    def let_go(self, keys: Sequence[str]) -> dict[str, str]:
        """These were sent. Returns a code for each that is still there. Raises `SqsError`."""


class Keyed(Sourced, Protocol):
    @property
    def id(self) -> str:
        """By which the source knows it."""


EntryT = TypeVar("EntryT", bound=Keyed)


@dataclass(frozen=True, slots=True)
class Result(Generic[EntryT]):
    """What became of an entry: where it was not `sent`, it is where it was; if it was, it may be there as well.

    `code` is AWS's word for what was not done, or `NO_QUEUE`; None if all was.
    """

    entry: EntryT
    sent: bool
    code: str | None


class Requeue(Generic[EntryT]):
    """Takes entries within its context, and tells `report` of each, in the thread that uses it.

    The end of the context waits for what was begun; if it ends with an exception, the rest is not begun. `rate` is in
    messages a second. `add` and the end of the context raise `SqsError`.
    """

    def __init__(
        self, queues: SourceQueues, source: Source, report: Callable[[Result[EntryT]], None], rate: float | None = None
    ) -> None:
        self._queues = queues
        self._source = source
        self._report = report
        self._pace = Pace(rate)
        self._batch_size = self._pace.together(BATCH_ENTRIES)
        self._batches: defaultdict[Queue, list[tuple[EntryT, Outgoing]]] = defaultdict(list)
        self._running: set[Future[list[Result[EntryT]]]] = set()
        self._pool = ThreadPoolExecutor(LANES, "transfer")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if exc_type is None:
                for queue in list(self._batches):
                    self._begin(queue)
                self._collect(at_most=0)
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
            for future in self._running:
                if not future.cancelled() and future.exception() is None:
                    self._tell(future)

    def add(self, entry: EntryT, message: Outgoing) -> None:
        """Send it to the queue that it came from, some time before the end of the context."""
        queue = self._queues.of(entry)
        if queue is None:
            self._report(Result(entry, sent=False, code=NO_QUEUE))
            return
        batch = self._batches[queue]
        size = sum(waiting.size for _, waiting in batch) + message.size
        if batch and (len(batch) == self._batch_size or size > MESSAGE_BYTES):
            self._begin(queue)
        self._batches[queue].append((entry, message))

    def _begin(self, queue: Queue) -> None:
        batch = self._batches.pop(queue)
        self._pace.wait(len(batch))
        self._collect(at_most=LANES - 1)
        self._running.add(self._pool.submit(self._transfer, queue, batch))

    def _collect(self, *, at_most: int) -> None:
        """Wait until there are no more batches under way than that, and tell of those that are not."""
        while len(self._running) > at_most:
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            for future in done:
                self._running.remove(future)
                self._tell(future)

    def _tell(self, future: "Future[list[Result[EntryT]]]") -> None:
        for result in future.result():
            self._report(result)

    def _transfer(self, queue: Queue, batch: list[tuple[EntryT, Outgoing]]) -> list[Result[EntryT]]:
        lost = {entry.id for entry, _ in batch if not self._source.has(entry.id)}
        results = [Result(entry, sent=False, code=NOT_IN_FLIGHT) for entry, _ in batch if entry.id in lost]
        ours = [(entry, message) for entry, message in batch if entry.id not in lost]
        for settled in send_until_taken(queue.send, [message for _, message in ours]) if ours else ():
            results += self._let_go([ours[place][0] for place, failure in settled.items() if failure is None])
            results += [Result(ours[place][0], sent=False, code=f.code) for place, f in settled.items() if f]
        return results

    def _let_go(self, entries: Sequence[EntryT]) -> list[Result[EntryT]]:
        still_there = let_go(self._source, [entry.id for entry in entries])
        return [Result(entry, sent=True, code=still_there.get(entry.id)) for entry in entries]


def let_go(source: Source, keys: Sequence[str]) -> dict[str, str]:
    """Have the source let go of these, and try again with what it could not. Returns a code for what is still there.

    Raises `SqsError`.
    """
    still_there: dict[str, str] = source.let_go(keys) if keys else {}
    for delay in islice(exponential(FIRST_RETRY, MAX_RETRY), ATTEMPTS - 1):
        if not still_there:
            break
        time.sleep(delay)
        still_there = source.let_go(list(still_there))
    return still_there
