"""Talks like a worker, for the tests of `WorkerProcess` and of the supervisor, and starts in no time.

It logs `started`, and `stopped` when it is terminated. With `--busy` it takes a second signal to end it, as it does
with a worker that has much to finish: it logs `stopping` at the first.
"""

import json
import os
import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _stop(_number: int, _frame: FrameType | None) -> None:
    # Not by sys.stdout, which may be in the middle of a line when the signal comes.
    os.write(sys.stdout.fileno(), b'{"event": "stopped"}\n')
    sys.exit(0)


def _begin_to_stop(number: int, _frame: FrameType | None) -> None:
    for again in SIGNALS:
        signal.signal(again, _leave)
    os.write(sys.stdout.fileno(), json.dumps({"event": "stopping", "signal": number}).encode() + b"\n")


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def main() -> None:
    """Exit with status 2 without QUEUE_URL, else wait for SIGTERM or SIGINT."""
    if "QUEUE_URL" not in os.environ:
        sys.stderr.write("QUEUE_URL is missing\n")
        sys.exit(2)
    for number in SIGNALS:
        signal.signal(number, _begin_to_stop if "--busy" in sys.argv else _stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # a supervisor starts it with both blocked
    _say("no JSON")
    _say(json.dumps({"event": "started", "variables": sorted(os.environ), "arguments": sys.argv[1:]}))
    if "--supervised" in sys.argv:
        while os.read(0, 1024):  # until the supervisor has ended
            pass
        return
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
