"""Consumers: the threads that carry messages, each all the way from the queue to the tables.

A thread receives, as the leader on a quiet queue or beside others on a busy one (`worker.pipeline.turns`); while its
receives come back full it goes on, up to a batch. Then it parses, writes and deletes what it has: no message changes
threads unless something is in its way, and no batch waits to be filled. So batches are as large as the queue is long,
and an empty queue costs one call in `wait_seconds`.

Nobody receives while the database is away, while an operator has paused the workers, or while as much is in hand as
may be.
"""

from collections.abc import Callable, Sequence

from signup_sync.backoff import exponential
from signup_sync.sqs import BATCH_ENTRIES, SqsError
from worker.aws.sqs import CALL_LIMIT, Queue, Received
from worker.clock import SYSTEM_CLOCK, Clock, Semaphore
from worker.delivery import Delivery
from worker.failure_log import FailureLog
from worker.pipeline.acknowledger import Acknowledger
from worker.pipeline.adaptive_limit import AdaptiveLimit
from worker.pipeline.database_gate import DatabaseGate
from worker.pipeline.in_flight import InFlight
from worker.pipeline.pause_switch import PauseSwitch
from worker.pipeline.turns import Turns
from worker.pipeline.writer import Writer
from worker.source_queue import SourceQueue, in_logs
from worker.telemetry.instrumentation import NO_INSTRUMENTATION, Instrumentation

SHORT_WAIT = 1  # second: of a poll that others may want to see ended soon
FIRST_RETRY = 0.5  # seconds
MAX_RETRY = 20.0  # seconds
RELEASE_WAIT = 2.0  # seconds that a release waits for the end of our own receives


class _Window:
    """How many receives a thread makes at the same time; each thread has its own.

    One, until they come back full; then twice as many each time, up to a batch (as TCP begins: RFC 5681, 3.1 "Slow
    Start"). So hardly more receives come back empty than came back full before. `most` is what one may bring; of what
    several may bring half counts as full, as SQS does not always give all it has. `max_calls` are those of a batch.
    """

    def __init__(self, most: int, max_calls: int) -> None:
        self._most = most
        self._max_calls = max_calls
        self.calls = 1
        self.full = False
        self.body_size = 0  # bytes of the largest body of the last receives, by which the next ones are estimated

    def update(self, messages: Sequence[Received], calls: int, wanted: int) -> None:
        """So many receives have brought these messages; without other limits there would have been `wanted`."""
        # A lone one must be full: where a few come at once, to ask for more would only keep them waiting.
        self.full = len(messages) >= (self._most if calls == 1 else self._most * calls / 2)
        self.calls = min(2 * wanted, self._max_calls) if self.full else 1
        self.body_size = max((len(message.body) for message in messages), default=0)


class Consumers:
    """What the threads of one queue share; `run` is each one's.

    `batch_size` is how many messages are one transaction at most, `calls` how many receives may be under way together
    for one, `writers` how many transactions there are at once, which those of all queues share as `connections`.
    `on_empty` is called when the queue has been empty for one poll and nothing is in hand, and says whether to stop.
    """

    def __init__(
        self,
        queue: Queue,
        gate: DatabaseGate,
        pause_switch: PauseSwitch,
        in_flight: InFlight,
        writer: Writer,
        acknowledger: Acknowledger,
        *,
        wait_seconds: int,
        visibility_timeout: int,
        batch_size: int,
        calls: int,
        writers: int,
        connections: Semaphore,
        adaptive_limit: AdaptiveLimit,
        on_empty: Callable[[], bool] | None,
        instrumentation: Instrumentation = NO_INSTRUMENTATION,
        clock: Clock = SYSTEM_CLOCK,
        source: SourceQueue = "events",
    ) -> None:
        self._queue = queue
        self._gate = gate
        self._pause_switch = pause_switch
        self._in_flight = in_flight
        self._writer = writer
        self._acknowledger = acknowledger
        self._wait_seconds = wait_seconds
        self._visibility_timeout = visibility_timeout
        self._batch_size = batch_size
        self._most = min(BATCH_ENTRIES, batch_size)
        self._calls = max(1, min(calls, batch_size // BATCH_ENTRIES))
        self._adaptive_limit = adaptive_limit
        self._on_empty = on_empty
        self._instrumentation = instrumentation
        self._clock = clock
        self._turns = Turns(adaptive_limit, writers, clock)
        # Waited for here: the pool takes a long wait for one as the sign of an outage.
        self._connections = connections
        self._receives_ended = clock.condition()  # guards the number of those under way
        self._open_receives = 0
        self._failures = FailureLog("receive_failed", "receive_recovered", **in_logs(source))

    def stop(self) -> None:
        """Begin no new receive. Those under way end by themselves: SQS may already have put messages into their answer,
        which an aborted one would lose until their visibility timeout is over."""
        self._turns.stop()

    def wait_until_no_receive(self, timeout: float = RELEASE_WAIT) -> bool:
        """Wait until no receive is under way."""
        with self._receives_ended:
            return self._receives_ended.wait_for(lambda: not self._open_receives, timeout)

    def run(self) -> None:
        """Carry messages until stopped."""
        window = _Window(self._most, self._calls)
        while self._turns.begin():
            began, computed = self._clock.monotonic(), self._clock.thread_time()
            lone = window.calls >= self._calls  # one round of receives is all that it will wait for
            batch = self._poll(window)
            self._turns.received(some=bool(batch), busy=window.full)
            while window.full and len(batch) + BATCH_ENTRIES <= self._batch_size:
                batch += self._receive_more(window, len(batch))
            if batch:
                self._carry(batch)
            if lone and window.full:
                self._adaptive_limit.took(began, self._clock.monotonic(), self._clock.thread_time() - computed)
            self._turns.end()
            self._instrumentation.idle()

    def _carry(self, batch: list[Delivery]) -> None:
        """Give each message its outcome: the way of a message, once it is received."""
        events = self._writer.parse(batch)
        self._instrumentation.idle()  # somebody else has the connections, within limits of their own
        self._turns.writing()
        with self._connections:
            events = self._in_flight.still_ours(events)
            if self._turns.stopped or not self._gate.is_open or self._pause_switch.is_on:
                self._acknowledger.release(events)
                committed = []
            else:
                committed = self._writer.write(events)
        self._turns.written(ends_soon=len(committed) < BATCH_ENTRIES)
        self._acknowledger.done(committed)

    def _poll(self, window: _Window) -> list[Delivery]:
        """Receive until a receive works; nothing, if the queue is empty or we stop."""
        delays = exponential(FIRST_RETRY, MAX_RETRY)
        while self._wait_until_possible():
            # Nobody who releases messages should wait long for us, or see us receive them again.
            wait_seconds = SHORT_WAIT if len(self._in_flight) else self._wait_seconds
            try:
                batch = self._receive(window, 0, wait_seconds=0 if window.calls > 1 else wait_seconds)
            except SqsError as error:
                self._failures.failure(code=error.code, detail=str(error))
                if not self._turns.failed():
                    break
                self._turns.pause(next(delays))
                continue
            if batch is not None:
                self._failures.success()
                return batch
        return []

    def _receive_more(self, window: _Window, held: int) -> list[Delivery]:
        """Receive once, without waiting; an error only ends the batch, and is reported when the next poll meets it."""
        try:
            return self._receive(window, held, wait_seconds=0) or []
        except SqsError:
            return []

    def _wait_until_possible(self) -> bool:
        """Wait until what is received could be written and held; False says that the worker is stopping."""
        self._instrumentation.idle()
        while self._gate.wait_until_open() and self._pause_switch.wait_until_off() and not self._turns.stopped:
            if self._in_flight.wait_for_room(SHORT_WAIT):
                return not self._turns.stopped
        return False

    def _receive(self, window: _Window, held: int, *, wait_seconds: int) -> list[Delivery] | None:
        """Receive once, as much as the window and a batch of which so much is `held` allow.

        None says that this was no time for it: no room, the gate is shut, a pause, or we stop. Raises `SqsError`.
        """
        wanted = window.calls
        calls = min(wanted, max(1, (self._batch_size - held) // BATCH_ENTRIES))
        room = self._in_flight.reserve(calls, window.body_size)
        window.full, window.calls = False, 1  # unless it succeeds
        with self._receives_ended:
            self._open_receives += 1
        try:
            # Asked now that our receive counts as open: whoever releases messages waits for it, or we see the gate.
            if not room.calls or not self._gate.is_open or self._pause_switch.is_on or self._turns.stopped:
                return None
            messages = self._receive_together(room.calls, wait_seconds)
            window.update(messages, room.calls, wanted)
            return self._in_flight.admit(messages, self._clock.monotonic())
        finally:
            self._in_flight.release(room)
            with self._receives_ended:
                self._open_receives -= 1
                if not self._open_receives:
                    self._receives_ended.notify_all()

    def _receive_together(self, calls: int, wait_seconds: int) -> list[Received]:
        self._instrumentation.busy(wait_seconds + CALL_LIMIT)
        messages = self._queue.receive_together(
            calls,
            wait_seconds=wait_seconds,
            visibility_timeout=self._visibility_timeout,
            most=self._most,
        )
        if messages:
            self._instrumentation.received(messages)
        elif self._on_empty and wait_seconds and self._turns.alone and not self._in_flight and self._on_empty():
            self._turns.stop()
        return messages
