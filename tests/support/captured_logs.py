"""What the tests' own process logs."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.testing import capture_logs

LogLine = MutableMapping[str, Any]


@contextmanager
def captured_logs() -> Iterator[list[LogLine]]:
    """All of it, whatever was configured before."""
    structlog.reset_defaults()
    with capture_logs() as log:
        yield log
