"""Scan of the dead-letter queue: everything that is in it and that nobody else holds, each message once.

SQS has no way to list a queue. A look receives until a long poll comes back empty, and holds all it has received, so
as not to receive it again. So it sees neither what others hold all that time (for whose end it waits a moment), nor a
moment of the queue: what is sent while it looks may be seen or not. And it cannot see more than 120,000 messages that
stay there, which is as many as SQS lets be in flight (SQS Developer Guide, "Amazon SQS message quotas").
"""

import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

from signup_sync.sqs import SqsError
from worker.aws.sqs import IN_FLIGHT, Queue, QueueAttributes, Received
from worker.dead_letters.held_messages import HeldMessages

WAIT = 1  # second of a long poll, which, unlike a short one, asks all of SQS's servers
RECEIVERS = 8  # receives under way at once, for long queues
PATIENCE = 3.0  # seconds in which others who look at the queue may have done with it
MESSAGES_PER_RECEIVER = 50  # below this it is quicker alone


class Scan:
    """Iterate over it, within its context, to receive. Its end releases what was not deleted.

    `attributes` is what the queue said of itself at the beginning, when nothing was held. `elsewhere`, after all has
    been received, is how many messages others seem to hold: SQS counts approximately, and up to a minute late, but who
    has a message does not change the sum of what is visible and what is in flight. After the end, `unreleased` messages
    will be visible only in `lease` seconds, because SQS could not be told.
    """

    def __init__(self, queue: Queue, attributes: QueueAttributes) -> None:
        self._queue = queue
        self.attributes = attributes
        self.elsewhere = attributes.in_flight
        self.held = HeldMessages(queue)
        self.unreleased = 0
        self.lease = self.held.lease
        self._over_limit = False
        self._seen = 0
        self._counting = threading.Lock()  # guards `_seen`: how many have come that were there at the beginning
        self._finished = threading.Event()
        self._receivers = max(1, min(RECEIVERS, attributes.visible // MESSAGES_PER_RECEIVER))
        self._pool = ThreadPoolExecutor(self._receivers, "receiver")

    def __enter__(self) -> Self:
        self.held.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop_receiving()
        self.lease = self.held.lease
        before, self.unreleased = self.unreleased, len(self.held)  # true if this is interrupted in its turn
        self.unreleased = before + self.held.close()

    def __iter__(self) -> Iterator[Received]:
        """Raises `SqsError`."""
        pending = {self._pool.submit(self._receive) for _ in range(self._receivers)}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield from self._received(future, pending)
        yield from self._wait_for_others()

    @property
    def at_limit(self) -> bool:
        """Whether there may be messages that could not be received, because as many are in flight as SQS allows."""
        return self._over_limit or len(self.held) + self.attributes.in_flight >= IN_FLIGHT

    def finish(self, keep: Collection[str] = ()) -> None:
        """Receive no more, and release all but these."""
        self._stop_receiving()
        self.unreleased += self.held.release(keep)

    def _wait_for_others(self) -> Iterator[Received]:
        until = time.monotonic() + PATIENCE
        self.elsewhere = self._unseen()
        while self.elsewhere and time.monotonic() < until and not (self._finished.is_set() or self.at_limit):
            # By the pool, which an interrupt does not reach: what it receives is held, and given back at the end.
            yield from self._pool.submit(self._receive).result() or []
            now = self._queue.describe()
            # What was deleted meanwhile, by us or by others, is gone from one of both counts at least.
            self.elsewhere = min(self._unseen(), max(0, now.visible + now.in_flight - len(self.held)))

    def _unseen(self) -> int:
        """Of the messages that there were at the beginning, those that did not come."""
        return max(0, self.attributes.visible + self.attributes.in_flight - self._seen)

    def _received(
        self, future: "Future[list[Received] | None]", pending: "set[Future[list[Received] | None]]"
    ) -> Iterator[Received]:
        messages = future.result()
        if messages is not None:
            yield from messages
            pending.add(self._pool.submit(self._receive))

    def _receive(self) -> list[Received] | None:
        """What was not held before; None at the end of the queue."""
        if self._finished.is_set() or len(self.held) >= IN_FLIGHT:
            return None
        lease, asked_at = self.held.lease, time.monotonic()
        try:
            messages = self._queue.receive(wait_seconds=WAIT, visibility_timeout=lease)
        except SqsError as error:
            if error.code.rpartition(".")[2] != "OverLimit":
                raise
            self._over_limit = True
            return None
        if not messages:
            return None
        new = self.held.add(messages, asked_at + lease)
        with self._counting:
            self._seen += sum(message.sent_at < self.attributes.answered_at + 1 for message in new)
        return new

    def _stop_receiving(self) -> None:
        """What is under way may still bring messages, which are then held."""
        self._finished.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
