"""Control groups: so much memory, or so much of a core, for some processes, where the kernel lets us make a group.

Linux, Documentation/admin-guide/cgroup-v2.rst ("CPU", "Memory"), cgroup-v1/memory.rst beside it, and
Documentation/scheduler/sched-bwc.rst.
"""

import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

PERIOD = 10_000  # microseconds of a share of CPU time; short, so that a message does not wait long for its turn

Controller = Literal["cpu", "memory"]

_ROOT = Path("/sys/fs/cgroup")  # of version 2; in version 1 each controller has a folder in it


def is_possible(controller: Controller) -> bool:
    """Whether there are groups of that kind that we may make."""
    if _is_v1(controller):
        return os.access(_ROOT / controller / "cgroup.procs", os.W_OK)
    enabled = _ROOT / "cgroup.subtree_control"
    return os.access(_ROOT / "cgroup.procs", os.W_OK) and controller in enabled.read_text().split()


def memory(size: int) -> "ControlGroup":
    """So many bytes at most, with what the kernel caches of files: as much as a smaller machine has."""
    return ControlGroup("memory", {"memory.limit_in_bytes": str(size)}, {"memory.max": str(size)})


def share(part: float) -> "ControlGroup":
    """So much of a core at most: on two cores everything together would be the limit, and not the worker."""
    quota = int(PERIOD * part)
    return ControlGroup(
        "cpu", {"cpu.cfs_period_us": str(PERIOD), "cpu.cfs_quota_us": str(quota)}, {"cpu.max": f"{quota} {PERIOD}"}
    )


class ControlGroup:
    """A group with the limits of either version, until the end of the context. Children of its processes are in it."""

    def __init__(self, controller: Controller, v1: Mapping[str, str], v2: Mapping[str, str]) -> None:
        is_v1 = _is_v1(controller)
        self._root = _ROOT / controller if is_v1 else _ROOT
        self._group = self._root / f"signup-sync-bench-{uuid.uuid4().hex}"
        self._group.mkdir()
        for name, limit in (v1 if is_v1 else v2).items():
            (self._group / name).write_text(limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._move((self._group / "cgroup.procs").read_text().split(), self._root)
        self._group.rmdir()

    def add(self, pids: Sequence[int]) -> None:
        """Of memory, what they have by now counts elsewhere."""
        self._move([str(pid) for pid in pids], self._group)

    def _move(self, pids: Sequence[str], group: Path) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                (group / "cgroup.procs").write_text(pid)


def _is_v1(controller: Controller) -> bool:
    return (_ROOT / controller / "cgroup.procs").exists()
