"""Receiving: as many receives at once as the queue is worth, and none while nothing could be written.

The first receiver leads: it polls always, on a quiet queue with one long poll after the other. The others help while
receives come back busy, as many of them as `worker.concurrency` finds worth it, and rest as soon as one comes back
empty or fails. So throughput follows the queue and not the latency of one call, and an empty queue costs one call in
`wait_seconds`.

Nobody receives while the database is away, or while as much is in hand as may be.
"""

import threading
import time
from collections.abc import Callable, Iterator

import structlog

from worker.backoff import exponential
from worker.concurrency import Concurrency
from worker.in_flight import InFlight
from worker.inbox import Inbox
from worker.instrumentation import NO_INSTRUMENTATION, Instrumentation
from worker.outage import DatabaseGate
from worker.sqs import BATCH_ENTRIES, CALL_LIMIT, Queue, Received, SqsError

BUSY = BATCH_ENTRIES // 2  # messages in one receive, from which on more help is welcome
SHORT_WAIT = 1  # second: of a poll that others may want to see ended soon
FIRST_RETRY = 0.5  # seconds
LONGEST_RETRY = 20.0  # seconds
RELEASE_WAIT = 2.0  # seconds that a release waits for the end of our own polls

log = structlog.get_logger()


class Receivers:
    """What the receivers share; `run(0)`, `run(1)`, ... are their threads.

    `on_empty` is called when the queue has been empty for one long poll and nothing is in hand.
    """

    def __init__(
        self,
        queue: Queue,
        gate: DatabaseGate,
        in_flight: InFlight,
        inbox: Inbox,
        *,
        wait_seconds: int,
        visibility_timeout: int,
        concurrency: Concurrency,
        on_empty: Callable[[], None] | None,
        instrumentation: Instrumentation = NO_INSTRUMENTATION,
    ) -> None:
        self._queue = queue
        self._gate = gate
        self._in_flight = in_flight
        self._inbox = inbox
        self._wait_seconds = wait_seconds
        self._visibility_timeout = visibility_timeout
        self._on_empty = on_empty
        self._concurrency = concurrency
        self._instrumentation = instrumentation
        self._changed = threading.Condition()
        self._polls_ended = threading.Condition()
        self._open_polls = 0
        self._busy = False
        self._failing = False
        self._stopped = False

    def stop(self) -> None:
        """Begin no new poll. Those under way end by themselves: SQS may already have put messages into their answer,
        which an aborted poll would lose until their visibility timeout is over."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait_until_none_open(self, timeout: float = RELEASE_WAIT) -> bool:
        """Wait until no receive is under way."""
        with self._polls_ended:
            return self._polls_ended.wait_for(lambda: not self._open_polls, timeout)

    def run(self, number: int) -> None:
        """Receive until stopped, as the leader (0) or as a helper."""
        delays = _delays()
        while self._wait_for_turn(number):
            self._instrumentation.busy(self._wait_seconds + CALL_LIMIT)
            try:
                messages = self._poll(number)
            except SqsError as error:
                self._report(error)
                self._pause(next(delays))
                continue
            if messages is not None:
                self._report(None)
                delays = _delays()
                self._after(number, messages)

    def _wait_for_turn(self, number: int) -> bool:
        """Wait until there is reason to receive; False says that the worker is stopping."""
        self._instrumentation.idle()
        while not self._stopped:
            if number:
                with self._changed:
                    self._changed.wait_for(lambda: self._stopped or (self._busy and number < self._concurrency.limit))
            if not self._gate.wait_until_open():
                return False
            if self._in_flight.wait_for_room(SHORT_WAIT):
                return not self._stopped
        return False

    def _poll(self, number: int) -> list[Received] | None:
        """Receive once; None says that the gate was shut meanwhile."""
        wait_seconds = self._wait_seconds if number == 0 and self._in_flight.all_written else SHORT_WAIT
        with self._polls_ended:
            self._open_polls += 1
        try:
            # Asked again now that our poll counts as open: whoever releases messages waits for it, or we see the gate.
            if not self._gate.is_open or self._stopped:
                return None
            return self._receive(wait_seconds, expect_more=self._busy)
        finally:
            with self._polls_ended:
                self._open_polls -= 1
                if not self._open_polls:
                    self._polls_ended.notify_all()

    def _receive(self, wait_seconds: int, *, expect_more: bool) -> list[Received]:
        if expect_more:
            self._inbox.expect_more(1)
        began = time.monotonic()
        try:
            messages = self._queue.receive(wait_seconds=wait_seconds, visibility_timeout=self._visibility_timeout)
            # The others may have waited for messages, which says nothing about the way to them.
            if expect_more and len(messages) >= BUSY and self._concurrency.took(time.monotonic() - began):
                with self._changed:
                    self._changed.notify_all()
            if messages:
                self._instrumentation.received(messages)
                self._inbox.put(self._in_flight.admit(messages, time.monotonic()))
            elif self._on_empty and wait_seconds == self._wait_seconds and not self._in_flight:
                self._on_empty()
        finally:
            if expect_more:
                self._inbox.expect_more(-1)
        return messages

    def _after(self, number: int, messages: list[Received]) -> None:
        busy = len(messages) >= BUSY
        if busy != self._busy and (busy or not messages):
            with self._changed:
                self._busy = busy
                self._changed.notify_all()
        if messages and not busy and number == 0:
            # Few came, so few are coming: a moment, and the next poll may be a long one.
            self._in_flight.wait_until_all_written(SHORT_WAIT)

    def _report(self, error: SqsError | None) -> None:
        """Once when receiving begins to fail, and once when it works again."""
        with self._changed:
            changed, self._failing = self._failing != (error is not None), error is not None
            if error is not None:
                self._busy = False  # one is enough to find out when it works again
        if changed and error is not None:
            log.warning("receive_failed", code=error.code, detail=str(error))
        elif changed:
            log.info("receive_recovered")

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, seconds)


def _delays() -> Iterator[float]:
    return exponential(FIRST_RETRY, LONGEST_RETRY)
