"""Defect: an exception that nobody expected, as a line of the log, and in words for a page.

Its own text is in neither: it may quote what people wrote.
"""

from pathlib import Path

import structlog

log = structlog.get_logger()


def log_defect(event: str, error: BaseException, **context: object) -> None:
    """Write the line `event`, with the exception's type and the place where it was raised."""
    log.error(event, **context, error=type(error).__name__, where=_where(error))


def in_words(error: BaseException) -> str:
    """`it failed (KeyError); the console's log says where`."""
    return f"it failed ({type(error).__name__}); the console's log says where"


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
