"""Talks like a worker, for the tests of `WorkerProcess` and of the supervisor, and starts in no time.

It logs `started`, and `stopped` when it is terminated. With `--busy` it takes a second signal to end it, as it does
with a worker that has much to finish: it logs `stopping` at the first.
"""

import json
import os
import sys
import threading

from worker.signals import take_signals


def _say(line: str) -> None:
    # In one call: two threads talk, and several stubs to one pipe.
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def _stop(_number: int) -> None:
    _say('{"event": "stopped"}')
    os._exit(0)


def _begin_to_stop(number: int) -> None:
    _say(json.dumps({"event": "stopping", "signal": number}))


def _leave(number: int) -> None:
    os._exit(128 + number)


def main() -> None:
    """Exit with status 2 without QUEUE_URL, else wait for SIGTERM or SIGINT."""
    if "QUEUE_URL" not in os.environ:
        sys.stderr.write("QUEUE_URL is missing\n")
        sys.exit(2)
    take_signals([_begin_to_stop, _leave] if "--busy" in sys.argv else [_stop])
    _say("no JSON")
    _say(json.dumps({"event": "started", "variables": sorted(os.environ), "arguments": sys.argv[1:]}))
    if "--supervised" in sys.argv:
        while os.read(0, 1024):  # until the supervisor has ended
            pass
        return
    threading.Event().wait()


if __name__ == "__main__":
    main()
