"""Watched loop: a thread that looks at something again and again, while somebody watches."""

import threading
import time
from collections.abc import Callable

from worker.console.defect import in_words, log_defect

AUDIENCE = 120.0  # seconds after the last page that somebody saw


class WatchedLoop:
    """From `start` to `stop` it calls `look` whenever that is due and somebody watches.

    `due_at` says when (of `time.monotonic`); it is asked under `changed`, the lock that guards this and all that its
    owner knows, and that is to be notified when the answer changes. Who saw a page watches for `audience` seconds.

    A look that raises an exception does not end it: that is logged, once until a look succeeds, and `failed` is told
    what to say of it, under `changed`. After that the next look must not be due at once.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], None],
        due_at: Callable[[], float],
        failed: Callable[[str], None],
        audience: float = AUDIENCE,
    ) -> None:
        self._name = name
        self._look = look
        self._failed = failed
        self._is_failing = False
        self._audience = audience
        self._due_at = due_at
        self.changed = threading.Condition()
        self.stopped = False
        self._watched_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Return when the look that is under way is over."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        self._thread.join()

    def watch(self) -> bool:
        """Somebody watches; whether somebody has until now. The caller holds `changed`."""
        now = time.monotonic()
        was_watched = self._is_watched(now)
        self._watched_at = now
        self.changed.notify_all()
        return was_watched

    def _run(self) -> None:
        while self._wait_until_due():
            try:
                self._look()
                self._is_failing = False
            except Exception as error:  # noqa: BLE001 (whatever it is, it is logged and said)
                self._tell(error)

    def _tell(self, error: Exception) -> None:
        if not self._is_failing:
            log_defect("look_failed", error, look=self._name)
        self._is_failing = True
        with self.changed:
            self._failed(in_words(error))
            self.changed.notify_all()

    def _wait_until_due(self) -> bool:
        """False when there is nothing to wait for any more."""
        with self.changed:
            while not self.stopped:
                now = time.monotonic()
                due_in = self._due_at() - now if self._is_watched(now) else float("inf")
                if due_in <= 0:
                    return True
                self.changed.wait(due_in if due_in < threading.TIMEOUT_MAX else None)
            return False

    def _is_watched(self, now: float) -> bool:
        return now - self._watched_at < self._audience
