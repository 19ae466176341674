"""Memory for a server, with what the kernel caches of its files: as much as a smaller machine has.

By the limit of a control group, where the kernel lets us make one (Linux,
Documentation/admin-guide/cgroup-v1/memory.rst and Documentation/admin-guide/cgroup-v2.rst, "Memory").
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")


def is_possible() -> bool:
    """Whether there are control groups for memory that we may write."""
    return os.access(_V1 / "cgroup.procs", os.W_OK) or (
        os.access(_V2 / "cgroup.procs", os.W_OK) and "memory" in (_V2 / "cgroup.subtree_control").read_text().split()
    )


class MemoryLimit:
    """A group that has so many bytes at most, until the end of the context. Its processes' children are in it too."""

    def __init__(self, size: int) -> None:
        is_v1 = (_V1 / "cgroup.procs").exists()
        self._root = _V1 if is_v1 else _V2
        self._group = self._root / f"signup-sync-bench-{os.getpid()}"
        self._group.mkdir()
        (self._group / ("memory.limit_in_bytes" if is_v1 else "memory.max")).write_text(str(size))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._move((self._group / "cgroup.procs").read_text().split(), self._root)
        self._group.rmdir()

    def add(self, pids: Sequence[int]) -> None:
        """What they have by now counts elsewhere."""
        self._move([str(pid) for pid in pids], self._group)

    def _move(self, pids: Sequence[str], group: Path) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                (group / "cgroup.procs").write_text(pid)
