"""The worker until its queue is empty, with its bytecode counted: says how many instructions the carrying thread ran.

    python -m benchmarks.counted_worker

It is `signup-sync worker --once` in all but that. The environment has its settings, and THREADS=1: one thread carries
all messages then, so that the count is the same each time, whatever else the machine does. What runs beside it (lanes,
heartbeat, the pool) goes by the clock and not by messages, and is not counted.
"""

import sys
import threading
from types import FrameType
from typing import Any

from worker.assembly import Worker
from worker.cli import logs
from worker.settings import WorkerSettings

_CARRIER = "consumer-0"

_instructions = 0


def _enter(frame: FrameType, _event: str, _argument: Any) -> Any:
    """Trace a call, if the thread is the one that counts (Python documentation, "sys": `settrace`)."""
    if threading.current_thread().name != _CARRIER:
        sys.settrace(None)
        return None
    frame.f_trace_opcodes = True
    frame.f_trace_lines = False
    return _step


def _step(_frame: FrameType, event: str, _argument: Any) -> Any:
    global _instructions  # noqa: PLW0603 (one number, of one thread)
    if event == "opcode":
        _instructions += 1
    return _step


def main() -> None:
    """Print the count."""
    settings = WorkerSettings.from_environment()
    logs.configure(settings.log_level, settings.log_format)
    worker = Worker(settings, until_empty=True)
    threading.settrace(_enter)
    succeeded = worker.run()
    sys.stdout.write(f"{_instructions}\n")
    sys.exit(not succeeded)


if __name__ == "__main__":
    main()
