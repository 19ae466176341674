"""The Lambda in a process of its own, as in its container: imported once, invoked again and again."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_ROOT = Path(__file__).parents[2]

# The last line of an invocation says how it ended; the lines before it are the handler's log.
_SCRIPT = """
import json, os, sys, time
from trigger_lambda.handler import handler
for line in sys.stdin:
    event, trace = json.loads(line)
    os.environ.pop("_X_AMZN_TRACE_ID", None)
    os.environ.update({} if trace is None else {"_X_AMZN_TRACE_ID": trace})
    started = time.monotonic()
    try:
        end = {"returned": handler(event, None)}
    except Exception as error:
        end = {"raised": type(error).__name__}
    print(json.dumps({**end, "seconds": time.monotonic() - started}), flush=True)
"""

Event = dict[str, Any]


@dataclass(frozen=True)
class Invocation:
    """How an invocation ended: what the handler returned, or the name of the exception it raised, after `seconds`."""

    returned: Event | None
    raised: str | None
    seconds: float
    log: list[str]  # lines


class Container:
    """`environment` is all that the Lambda finds in its own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT],
            cwd=_ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def invoke(self, event: Event, *, trace: str | None = None) -> Invocation:
        """Wait for the handler to end; `trace` is what Lambda says of the trace of this invocation."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([event, trace]) + "\n")
        self._process.stdin.flush()
        log: list[str] = []
        for line in self._process.stdout:
            end = json.loads(line)
            if "seconds" in end:
                return Invocation(end.get("returned"), end.get("raised"), end["seconds"], log)
            log.append(line)
        raise AssertionError("the Lambda's process has ended")
