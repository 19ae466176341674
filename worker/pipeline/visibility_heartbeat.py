"""Visibility heartbeat: what takes long to write stays ours.

A lease is the visibility timeout of a received message. What we still hold when half of it has passed gets a new one.
A lease that could not be extended before its end is lost: somebody else may have the message by then, so the writer
passes it over if it has not begun, and SQS gives it to somebody again.
"""

import structlog

from signup_sync.sqs import BATCH_ENTRIES, SqsError
from worker.aws.sqs import CALL_LIMIT, LEASE_LOST, NOT_TAKEN, Queue, Received
from worker.clock import SYSTEM_CLOCK, Clock
from worker.failure_log import FailureLog
from worker.pipeline.in_flight import InFlight
from worker.source_queue import SourceQueue, in_logs
from worker.telemetry.instrumentation import NO_INSTRUMENTATION, Instrumentation

MAX_INTERVAL = 5.0  # seconds between two looks

log = structlog.get_logger()


class VisibilityHeartbeat:
    """Extends the leases of what is in flight; `run` is its thread. `visibility_timeout` is in seconds."""

    def __init__(
        self,
        queue: Queue,
        in_flight: InFlight,
        visibility_timeout: int,
        instrumentation: Instrumentation = NO_INSTRUMENTATION,
        clock: Clock = SYSTEM_CLOCK,
        *,
        source: SourceQueue = "events",
    ) -> None:
        self._queue = queue
        self._in_flight = in_flight
        self._visibility_timeout = visibility_timeout
        self._instrumentation = instrumentation
        self._failures = FailureLog("extend_failed", "extend_recovered", **in_logs(source))
        self._clock = clock
        self._stopped = clock.event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        """Look at the leases again and again, until stopped."""
        interval = min(self._visibility_timeout / 4, MAX_INTERVAL)
        while not self._stopped.wait(interval):
            ending = self._in_flight.ending_before(self._clock.monotonic() + self._visibility_timeout / 2)
            for start in range(0, len(ending), BATCH_ENTRIES):
                self._instrumentation.busy(CALL_LIMIT)
                self._extend(ending[start : start + BATCH_ENTRIES])
            self._instrumentation.idle()

    def _extend(self, messages: list[Received]) -> None:
        began = self._clock.monotonic()
        try:
            failures = self._queue.change_visibility(
                [(message.receipt_handle, self._visibility_timeout) for message in messages]
            )
        except SqsError as error:
            self._failures.failure(code=error.code, detail=str(error))
            return  # tried again at the next look, if there is one before the end
        self._failures.success()
        codes = {failure.index: failure.code for failure in failures}
        extended = [message for index, message in enumerate(messages) if index not in codes]
        self._in_flight.extended(extended, began + self._visibility_timeout)
        for index, code in codes.items():
            if code in LEASE_LOST | NOT_TAKEN and (delivery := self._in_flight.lost(messages[index])):
                log.warning("lease_lost", code=code, **delivery.describe())
