"""Retry delay: how long a message that failed stays out of sight."""

import random
from functools import cache

SPAN = 15 * 60.0  # seconds in which somebody may wait for their user, author or parent, over all attempts
FIRST_DELAY = 1.0  # seconds
MAX_DELAY = 5 * 60.0  # seconds, where the attempts are so many that doubling would go beyond the span
_MAX_VISIBILITY_TIMEOUT = 43_200  # seconds (SQS Developer Guide, "Amazon SQS visibility timeout")


def retry_delay(attempt: int, max_attempts: int) -> int:
    """Seconds until a message that has been received `attempt` times (of `max_attempts`) is to be received again.

    From a second to minutes, each longer than the last by the factor that makes them span a quarter of an hour, and
    lengthened at random by up to a quarter.
    """
    delay = FIRST_DELAY if max_attempts > 2 else SPAN
    factor = _factor(max_attempts - 1)
    for _ in range(1, min(attempt, max_attempts)):
        delay *= factor
    if factor <= 2.0:
        delay = min(delay, MAX_DELAY)
    return max(1, min(round(delay * random.uniform(1.0, 1.25)), _MAX_VISIBILITY_TIMEOUT))  # noqa: S311


@cache
def _factor(delays: int) -> float:
    """The factor, 2 at least, by which `delays` that begin with the first one sum up to the span."""
    low, high = 2.0, SPAN
    if sum(min(FIRST_DELAY * low**n, MAX_DELAY) for n in range(min(delays, 64))) >= SPAN:
        return low
    while high - low > 0.001:
        middle = (low + high) / 2
        low, high = (low, middle) if _sum(middle, delays) > SPAN else (middle, high)
    return high


def _sum(factor: float, delays: int) -> float:
    return sum(FIRST_DELAY * factor**n for n in range(delays))
