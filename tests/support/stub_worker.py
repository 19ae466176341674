"""Talks like a worker, for the tests of `WorkerProcess`: logs `started`, then `stopped` when it is terminated."""

import json
import os
import signal
import sys
from types import FrameType


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _stop(_number: int, _frame: FrameType | None) -> None:
    # Not by sys.stdout, which may be in the middle of a line when the signal comes.
    os.write(sys.stdout.fileno(), b'{"event": "stopped"}\n')
    sys.exit(0)


def main() -> None:
    """Exit with status 2 without QUEUE_URL, else wait for SIGTERM or SIGINT."""
    if "QUEUE_URL" not in os.environ:
        sys.stderr.write("QUEUE_URL is missing\n")
        sys.exit(2)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    _say("no JSON")
    _say(json.dumps({"event": "started", "variables": sorted(os.environ), "arguments": sys.argv[1:]}))
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
