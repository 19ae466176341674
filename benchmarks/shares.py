"""Shares of a core for worker processes: on two cores everything together would be the limit, and not they.

By the quota of a control group, where the kernel lets us make one (Linux, Documentation/scheduler/sched-bwc.rst and
Documentation/admin-guide/cgroup-v2.rst, "CPU").
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

PERIOD = 10_000  # microseconds; short, so that a message does not wait long for its process's turn

_V1 = Path("/sys/fs/cgroup/cpu")
_V2 = Path("/sys/fs/cgroup")


def is_possible() -> bool:
    """Whether there are control groups for CPU time that we may write."""
    return any(os.access(folder / "cgroup.procs", os.W_OK) for folder in (_V1, _V2))


class Shares:
    """Gives each process so much of a core at most, until the end of the context."""

    def __init__(self, pids: Sequence[int], share: float) -> None:
        is_v1 = (_V1 / "cgroup.procs").exists()
        self._root = _V1 if is_v1 else _V2
        quota = int(PERIOD * share)
        self._groups: list[Path] = []
        for pid in pids:
            group = self._root / f"signup-sync-bench-{pid}"
            group.mkdir()
            self._groups.append(group)
            if is_v1:
                (group / "cpu.cfs_period_us").write_text(str(PERIOD))
                (group / "cpu.cfs_quota_us").write_text(str(quota))
            else:
                (group / "cpu.max").write_text(f"{quota} {PERIOD}")
            (group / "cgroup.procs").write_text(str(pid))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for group in self._groups:
            for pid in (group / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):  # it has ended meanwhile
                    (self._root / "cgroup.procs").write_text(pid)
            group.rmdir()
