"""Pause switch: while an operator has paused all workers, nobody receives.

The pause is a row of the database (`db.tables.worker_pause`), so that it holds for every worker and survives restarts;
each worker looks at it every few seconds. While the database is away the last known state stays.

The switch is *on* from the start until a first look has succeeded, so that a worker that starts in a pause receives
nothing; then *on* or *off* as the last look has found. A database without the table, which is one of the version
before, has no pause: the switch is off.
"""

from collections.abc import Callable

import psycopg
import structlog

from db.tables.worker_pause import WorkerPause
from signup_sync.postgres.errors import describe
from worker.clock import SYSTEM_CLOCK, Clock
from worker.failure_log import FailureLog
from worker.pipeline.database_gate import DatabaseGate
from worker.pipeline.store import Store
from worker.telemetry.instrumentation import NO_INSTRUMENTATION, Instrumentation
from worker.text import timestamp

LOOK_INTERVAL = 5.0  # seconds
LOOK_LIMIT = 60.0  # seconds, far more than a look takes by its own limits

log = structlog.get_logger()


class PauseSwitch:
    """Safe to use from any thread; `run` is the thread that looks, as long as the gate is open.

    `on_pause` is called with each pause that is found.
    """

    def __init__(
        self,
        database: Store,
        gate: DatabaseGate,
        *,
        on_pause: Callable[[WorkerPause], None] | None = None,
        instrumentation: Instrumentation = NO_INSTRUMENTATION,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._database = database
        self._gate = gate
        self._on_pause = on_pause
        self._instrumentation = instrumentation
        self._changed = clock.condition()
        self._on = True
        self._stopped = False
        self._pause: WorkerPause | None = None
        self._table_is_missing = False
        self._failures = FailureLog("pause_unknown", "pause_known")

    @property
    def is_on(self) -> bool:
        return self._on

    def wait_until_off(self) -> bool:
        """Wait until the workers are not paused; False says that the worker is stopping instead."""
        with self._changed:
            self._changed.wait_for(lambda: not self._on or self._stopped)
            return not self._stopped

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def run(self) -> None:
        """Look whether there is a pause, until `stop`."""
        while self._gate.wait_until_open() and not self._stopped:
            self._instrumentation.busy(LOOK_LIMIT)
            self._look()
            self._instrumentation.idle()
            with self._changed:
                self._changed.wait_for(lambda: self._stopped, LOOK_INTERVAL)

    def _look(self) -> None:
        try:
            pause = self._database.read_pause()
        except psycopg.errors.UndefinedTable as error:
            if not self._table_is_missing:
                self._table_is_missing = True
                log.info("pause_not_supported", reason=describe(error), remedy="signup-sync db migrate")
            self._set(None)
        except psycopg.errors.InsufficientPrivilege as error:
            self._failures.failure(reason=describe(error), remedy="signup-sync db grant-worker")
            self._set(None)
        except psycopg.Error as error:
            if not self._stopped:
                self._failures.failure(reason=describe(error))
        else:
            self._failures.success()
            self._set(pause)

    def _set(self, pause: WorkerPause | None) -> None:
        before, self._pause = self._pause, pause
        with self._changed:
            self._on = pause is not None
            self._changed.notify_all()
        if pause is not None and pause != before:
            self._instrumentation.paused_by_operator(pause)
            log.warning("paused_by_operator", **_described(pause))
            if self._on_pause:
                self._on_pause(pause)
        elif pause is None and before is not None:
            self._instrumentation.resumed_by_operator()
            log.info("resumed_by_operator", **_described(before))


def _described(pause: WorkerPause) -> dict[str, str]:
    return {"who": pause.who, "since": timestamp(pause.paused_at), "reason": pause.reason}
