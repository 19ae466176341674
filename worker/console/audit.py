"""Audit log: who did what, and when.

Each entry is a line of the log (`event` is `audit`), one for each message that was acted on. The console shows the
newest; the log is where they are kept. Messages and users are named by their ids, and nothing people wrote is in it.
"""

import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import structlog

from worker.dead_letters.dead_letter import plain_name

MAX_SHOWN = 1000  # entries

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    at: datetime
    who: str
    what: str
    subject: str
    outcome: str


class Audit:
    """Safe to use from any thread."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=MAX_SHOWN)
        self._lock = threading.Lock()

    def record(self, who: str, what: str, subject: str = "", outcome: str = "done") -> None:
        """`subject` is the id of a message or a user, or says how many; anything else is not written down."""
        # A broken event may have somebody's address where its id belongs.
        named = subject and (plain_name(subject) or "not_shown")
        entry = Entry(datetime.now(UTC), who, what, named, outcome)
        with self._lock:
            self._entries.appendleft(entry)
        log.info("audit", who=who, what=what, subject=named, outcome=outcome)

    def newest(self, count: int, after: int = 0) -> list[Entry]:
        """Without the first `after`."""
        with self._lock:
            return list(islice(self._entries, after, after + count))

    def __len__(self) -> int:
        return len(self._entries)
