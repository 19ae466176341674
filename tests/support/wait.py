"""Waiting for what another thread or process is about to do."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Seconds between two tries, which grow with what has passed: each asks a server, which takes its time, too.
SHORTEST_INTERVAL = 0.02
LONGEST_INTERVAL = 0.1


def wait_until(condition: Callable[[], T], timeout: float, message: str) -> T:
    """Call `condition` until what it returns is true, and return that.

    `timeout` is in seconds; after it the test fails with `message`. The condition is tried at least twice, the last
    time after the deadline, so that a machine that stood still does not fail a test.
    """
    began = time.monotonic()
    while True:
        passed = time.monotonic() - began
        last_try = passed >= timeout
        if result := condition():
            return result
        if last_try:
            raise AssertionError(f"{message} (waited {timeout:g} s)")
        time.sleep(min(LONGEST_INTERVAL, max(SHORTEST_INTERVAL, passed / 5)))
