"""Scan of the dead-letter queue: everything that is in it and that nobody else holds, each message once.

SQS has no way to list a queue. A look receives until a long poll comes back empty, and holds all it has received, so
as not to receive it again. So it sees neither what others hold at that time, nor a moment of the queue: what is sent
while it looks may be seen or not. And it cannot see more than 120,000 messages that stay there, which is as many as
SQS lets be in flight (SQS Developer Guide, "Amazon SQS message quotas").
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
MESSAGES_PER_RECEIVER = 50  # below this it is quicker alone


class Scan:
    """Iterate over it, within its context, to receive. Its end releases what was not deleted.

    `attributes` is what the queue said of itself at the beginning, when nothing was held. After the end, `unreleased`
    messages will be visible only in `lease` seconds, because SQS could not be told.
    """

    def __init__(self, queue: Queue, attributes: QueueAttributes) -> None:
        self._queue = queue
        self.attributes = attributes
        self.held = HeldMessages(queue)
        self.unreleased = 0
        self.lease = self.held.lease
        self._over_limit = False
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

    @property
    def at_limit(self) -> bool:
        """Whether there may be messages that could not be received, because as many are in flight as SQS allows."""
        return self._over_limit or len(self.held) + self.attributes.in_flight >= IN_FLIGHT

    def finish(self, keep: Collection[str] = ()) -> None:
        """Receive no more, and release all but these."""
        self._stop_receiving()
        self.unreleased += self.held.release(keep)

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
        return self.held.add(messages, asked_at + lease) if messages else None

    def _stop_receiving(self) -> None:
        """What is under way may still bring messages, which are then held."""
        self._finished.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
