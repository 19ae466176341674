"""Failure log: once when something begins to fail, and once when it works again, however often it is tried."""

import threading

import structlog

log = structlog.get_logger()


class FailureLog:
    """Of one thing that is tried again and again. Safe to use from any thread: `_lock` guards whether it is failing.

    `failed` and `recovered` are the names of the two log lines, `context` is in both.
    """

    def __init__(self, failed: str, recovered: str, **context: object) -> None:
        self._failed = failed
        self._recovered = recovered
        self._context = context
        self._lock = threading.Lock()
        self._failing = False

    def failure(self, **why: object) -> None:
        """It has failed."""
        with self._lock:
            begins, self._failing = not self._failing, True
        if begins:
            log.warning(self._failed, **self._context, **why)

    def success(self) -> None:
        """It works."""
        with self._lock:
            ends, self._failing = self._failing, False
        if ends:
            log.info(self._recovered, **self._context)
