"""A supervisor of two stubs: `python -m tests.support.stub_supervisor`, with the stub's arguments."""

import os
import sys

from worker.cli import logs
from worker.supervisor import run_processes


def main() -> None:
    """As `signup-sync worker --processes 2`, without all that a worker imports."""
    logs.configure("info", "json")
    stub = [sys.executable, "-m", "tests.support.stub_worker", *sys.argv[1:], "--supervised"]
    os._exit(run_processes(stub, [{}, {}]))


if __name__ == "__main__":
    main()
