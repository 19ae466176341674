"""Circuit breaker for the database: while it is away nobody receives, one thread probes, and then all go on.

Our *shut* is what others call a breaker's *open* state: nothing passes.

The gate is *shut* at the start, until a first probe has succeeded; *open* while the database is in order; *shut* from
the first sign that it is not until a probe succeeds again. A database that answers the probe but fails the next batch
is probed at growing intervals, until a batch has been committed. After an outage in which statements took too long a
probe alone, which does not write, is no proof: then some rows have to be written in time as well, and rolled back.
"""

from collections.abc import Iterator

import psycopg
import structlog

from signup_sync.backoff import exponential
from signup_sync.postgres.errors import describe, is_too_slow
from worker.clock import SYSTEM_CLOCK, Clock
from worker.pipeline.store import Store
from worker.telemetry.instrumentation import NO_INSTRUMENTATION, Instrumentation

FIRST_PROBE = 0.5  # seconds after the gate was shut
MAX_PROBE_INTERVAL = 5.0  # seconds
PROBE_LIMIT = 60.0  # seconds, far more than a probe takes by its own limits, and the pool's replacement after it
STATEMENTS = 4  # of a rehearsal; there may be more, but not all of them as slow as is allowed

log = structlog.get_logger()


class DatabaseGate:
    """Open while the database can be written to. Safe to use from any thread; `run` is the prober's thread.

    `statement_timeout` is the database's, in seconds.
    """

    def __init__(
        self,
        database: Store,
        instrumentation: Instrumentation = NO_INSTRUMENTATION,
        clock: Clock = SYSTEM_CLOCK,
        *,
        statement_timeout: float,
    ) -> None:
        self._database = database
        self._probe_limit = PROBE_LIMIT + STATEMENTS * statement_timeout
        self._instrumentation = instrumentation
        self._clock = clock
        self._changed = clock.condition()
        self._open = False
        self._stopped = False
        self._paused_at: float | None = None
        self._was_slow = False  # in this outage, so that it has to prove that it is not any more
        self._opened_at = 0.0
        self._intervals = self._new_intervals()

    @property
    def is_open(self) -> bool:
        return self._open

    def shut(self, error: psycopg.Error, *, began: float) -> bool:
        """The database is away, says this error of something that began at that time (of the clock).

        False says that this is old news: the outage has ended since it began. Reported once an outage.
        """
        with self._changed:
            if self._open and began < self._opened_at:
                return False
            if self._paused_at is not None or self._stopped:
                return True
            self._open = False
            self._was_slow = is_too_slow(error)
            self._paused_at = self._clock.monotonic()
            self._changed.notify_all()
        self._instrumentation.paused(describe(error))
        log.warning("paused", reason=describe(error))
        return True

    def committed(self) -> None:
        """A batch has been committed: the next outage is a new one."""
        # Without the lock: one attribute is set, which nobody but the prober reads.
        self._intervals = self._new_intervals()

    def wait_until_open(self) -> bool:
        """Wait until the database can be used; False says that the worker is stopping instead."""
        with self._changed:
            self._changed.wait_for(lambda: self._open or self._stopped)
            return not self._stopped

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def run(self) -> None:
        """Probe while the gate is shut, until `stop`."""
        self._try_to_open()
        while self._wait_until_shut():
            if not self._sleep(next(self._intervals)):
                self._try_to_open()

    def _try_to_open(self) -> None:
        self._instrumentation.busy(self._probe_limit)
        began = self._clock.monotonic()
        try:
            self._database.probe()
            if self._was_slow:
                self._database.rehearse()
            if self._paused_at is not None:
                self._database.reset()
        except psycopg.Error as error:
            self.shut(error, began=began)
            return
        with self._changed:
            paused_at, self._paused_at = self._paused_at, None
            self._was_slow = False
            self._open = True
            self._opened_at = self._clock.monotonic()
            self._changed.notify_all()
        self._instrumentation.resumed()
        if paused_at is None:
            log.debug("opened")
        else:
            log.info("resumed", paused_seconds=round(self._clock.monotonic() - paused_at, 1))

    def _wait_until_shut(self) -> bool:
        self._instrumentation.idle()
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self._stopped)
            return not self._stopped

    def _sleep(self, seconds: float) -> bool:
        """Sleep; True says that it was cut short by `stop`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._stopped, seconds)

    @staticmethod
    def _new_intervals() -> Iterator[float]:
        return exponential(FIRST_PROBE, MAX_PROBE_INTERVAL)
