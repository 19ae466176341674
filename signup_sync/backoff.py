"""Exponential backoff: how long to wait before the next attempt of something that failed."""

import random
from collections.abc import Iterator


def exponential(first: float, longest: float, factor: float = 2.0) -> Iterator[float]:
    """Seconds, without end: from `first` to `longest`, each jittered down by up to a half, so that many who failed
    together do not come back together."""
    delay = first
    while True:
        yield delay * random.uniform(0.5, 1.0)  # noqa: S311
        delay = min(delay * factor, longest)
