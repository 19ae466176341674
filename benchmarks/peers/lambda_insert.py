"""The other way: a trigger that connects, inserts and closes for each sign-up, without a queue.

Waits for a line on standard input, inserts the events of the file EVENTS, and prints seconds.
"""

import os
import sys
import time
from pathlib import Path

from rows import INSERT, connect, row_of


def handler(body: str) -> None:
    connection = connect()
    try:
        connection.execute(INSERT, row_of(body))
    finally:
        connection.close()


def main() -> None:
    bodies = Path(os.environ["EVENTS"]).read_text().splitlines()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    began = time.perf_counter()
    for body in bodies:
        handler(body)
    sys.stdout.write(f"{time.perf_counter() - began}\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    main()
