"""Pace: how many messages a second an operator lets a command send."""

import time


class Pace:
    """`rate` is in messages a second; with None there is no limit. Used by one thread."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._next_at = time.monotonic()

    def together(self, most: int) -> int:
        """How many may be sent at once, of so many at most: a second's worth, and one at least."""
        return most if self._rate is None else max(1, min(most, int(self._rate)))

    def wait(self, messages: int) -> None:
        """Until it is the turn of so many."""
        if self._rate is not None:
            time.sleep(max(0.0, self._next_at - time.monotonic()))
            self._next_at = max(self._next_at, time.monotonic()) + messages / self._rate
