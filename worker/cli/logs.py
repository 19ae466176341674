"""Logs: one JSON object a line, on standard output unless it is said otherwise, or coloured key-value lines where a
person reads them.

What people wrote about themselves (e-mail addresses, names, handles, messages) is never passed to a logger.
"""

import logging
import sys
from functools import partial
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from worker.settings import no_color
from worker.text import printable


def configure(
    level: str, log_format: Literal["auto", "json", "console"], *, pid: int | None = None, stream: TextIO | None = None
) -> None:
    """Set up structlog for this process; each line has its `pid`, if that is given, where several share a log."""
    stream = stream or sys.stdout
    # The pool tries again in the background and would report each attempt; `worker.pipeline.database_gate` reports the
    # outage, once.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if pid is None else [partial(_with_pid, pid)]),
            *_renderers(log_format == "console" or (log_format == "auto" and stream.isatty()), stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # A line is one write, also where several processes share a pipe.
        logger_factory=structlog.WriteLoggerFactory(stream),
    )


def _renderers(console: bool, stream: TextIO) -> list[Processor]:
    if console:
        colors = stream.isatty() and not no_color()
        return [_printable, structlog.dev.ConsoleRenderer(colors=colors)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _with_pid(pid: int, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {**event, "pid": pid}


def _printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """With escapes for what would move the cursor or begin a line: an id is what a publisher wrote.

    JSON has escapes of its own.
    """
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}
