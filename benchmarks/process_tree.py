"""CPU time and memory of a process and all below it, from /proc (Linux)."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

_SAMPLING = 0.25  # seconds between two looks at the memory


def cpu_seconds(*pids: int) -> float:
    """CPU time that the processes of these trees that are alive have used, to the nanosecond."""
    return sum(filter(None, (_cpu_seconds(member) for member in members(*pids))))


def megabytes(*pids: int) -> float:
    """Memory that the processes of these trees hold; what they share with others counts in part (PSS)."""
    return sum(map(_megabytes, members(*pids)))


def members(*pids: int) -> list[int]:
    """Processes and their descendants."""
    found = list(pids)
    for member in found:
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            found += [int(child) for child in _read(children).split()]
    return found


class PeakMemory:
    """The most memory that trees hold at once, in megabytes, as long as this is entered: what they share with others
    counts in part (PSS)."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.megabytes = 0.0
        self._pids = pids
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            self.megabytes = max(self.megabytes, megabytes(*self._pids))
            ended = self._done.wait(_SAMPLING)


def wait_until_idle(pids: Sequence[int], timeout: float = 30.0) -> None:
    """Wait until trees have used next to no CPU for a moment."""
    deadline = time.monotonic() + timeout
    before = cpu_seconds(*pids)
    while time.monotonic() < deadline:
        time.sleep(0.3)
        now = cpu_seconds(*pids)
        if now - before < 0.01:
            return
        before = now


def _cpu_seconds(pid: int) -> float | None:
    # The process's CPU clock: CPUCLOCK_SCHED of the Linux kernel (include/linux/posix-timers.h).
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return None


def _megabytes(pid: int) -> float:
    lines = [line for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines() if line.startswith("Pss:")]
    return sum(int(line.split()[1]) for line in lines) / 1024


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""  # it has ended meanwhile
