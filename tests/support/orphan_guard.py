"""No child process outlives the tests, not even tests that were killed."""

import signal
import subprocess
from pathlib import Path

# `read` returns at the end of its input, which is when the last process that could write to it is gone. What has ended
# stays a process where nobody waits for orphans (a container without an init), hence the count.
_SCRIPT = """
read -r _
kill -s "$1" "$2"
looks=0
while [ "$looks" -lt 100 ] && kill -0 "$2" 2>/dev/null; do
    looks=$((looks + 1))
    sleep 0.1
done
[ -z "$3" ] || rm -rf -- "$3"
"""


class OrphanGuard:
    """Sends a signal to a child process once this process is gone, however it went, and then removes its directory.

    A shell reads from a pipe whose only writer is this process. Unlike Linux's parent-death signal this works on every
    POSIX system, for children that change their user, and does not end the child with the *thread* that started it.
    """

    def __init__(
        self, pid: int, signal_number: signal.Signals = signal.SIGKILL, *, directory: Path | None = None
    ) -> None:
        name = signal_number.name.removeprefix("SIG")
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "orphan-guard", name, str(pid), directory or ""],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the tests, which then clean up themselves
        )

    def close(self) -> None:
        """Stand down: the child is gone, or somebody else looks after it. May be called twice."""
        self._shell.kill()  # before its input ends
        self._shell.communicate()
