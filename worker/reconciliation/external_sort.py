"""External sort of ids, more than memory should hold."""

import heapq
import json
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

RUN_LENGTH = 100_000  # ids that are in memory at once, about 10 MB of them


class SortedIds:
    """Takes ids in any order, and gives them back sorted: an external merge sort.

    Each run is in a temporary file without a name, which is gone with the process however it ends. No database, since
    its rows would be in somebody's way, and it would have to be one that can be written to.
    """

    def __init__(self, run_length: int = RUN_LENGTH) -> None:
        self._run_length = run_length
        self._ids: list[str] = []
        self._runs: list[IO[str]] = []

    def add(self, ids: Iterable[str]) -> None:
        self._ids += ids
        if len(self._ids) >= self._run_length:
            self._write_run()

    def __iter__(self) -> Iterator[str]:
        """The ids, sorted. One iteration at a time, and none when one has been left in the middle."""
        for run in self._runs:
            run.seek(0)
        return heapq.merge(sorted(self._ids), *(map(json.loads, run) for run in self._runs))

    def close(self) -> None:
        """Remove the files."""
        for run in self._runs:
            run.close()

    def _write_run(self) -> None:
        run = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 (closed with the spool)
        self._runs.append(run)
        # As JSON, since an id may hold any character, a line break too.
        run.writelines(f"{json.dumps(each)}\n" for each in sorted(self._ids))
        self._ids.clear()


def difference(left: Iterable[str], right: Iterable[str]) -> Iterator[str]:
    """What is on the left and not on the right, of ids that are sorted on both sides."""
    others = iter(right)
    other = next(others, None)
    for each in left:
        while other is not None and other < each:
            other = next(others, None)
        if other != each:
            yield each
