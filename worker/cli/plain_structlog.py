"""structlog without rich: imported first, by a command whose start and memory count.

structlog imports rich where it is installed, for coloured tracebacks (`structlog.dev`), of which our log has none. That
is an eighth of a worker's start, and 4 MB of its memory.
"""

import sys

if not {"rich", "structlog"} & set(sys.modules):
    sys.modules["rich"] = None  # type: ignore[assignment]  # cannot be imported (Python documentation, "The module cache")
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]
