"""Audit log: who did what, and when, and how it was proved that it was them.

Each entry is a line of the log (`event` is `audit`), one for each message that was acted on. The console shows the
newest; the log is where they are kept. Messages and users are named by their ids, and nothing people wrote is in it.
"""

import logging
import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import structlog

from worker.console.identity.people import Person
from worker.dead_letters.dead_letter import plain_name

MAX_SHOWN = 1000  # entries
REFUSED = "refused"  # the outcome of a login
MAX_REFUSED = 100  # refused logins

# Whatever LOG_LEVEL says.
log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET))


@dataclass(frozen=True, slots=True)
class Entry:
    at: datetime
    who: Person
    what: str
    subject: str
    outcome: str


class Audit:
    """Safe to use from any thread.

    Refused logins are kept apart: anybody can make as many as they like, and none of them pushes out what was done.
    """

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=MAX_SHOWN)
        self._refused: deque[Entry] = deque(maxlen=MAX_REFUSED)
        self._lock = threading.Lock()

    def record(self, who: Person, what: str, subject: str = "", outcome: str = "done") -> None:
        """`subject` is the id of a message or a user, or says how many; anything else is not written down."""
        # A broken event may have somebody's address where its id belongs.
        named = subject and (plain_name(subject) or "not_shown")
        entry = Entry(datetime.now(UTC), who, what, named, outcome)
        with self._lock:
            (self._refused if outcome == REFUSED else self._entries).appendleft(entry)
        log.info("audit", who=who.name, proof=who.proof, what=what, subject=named, outcome=outcome)

    def newest(self, count: int, after: int = 0) -> list[Entry]:
        """Without the first `after`."""
        with self._lock:
            return list(islice(self._entries, after, after + count))

    def refused(self) -> list[Entry]:
        """The newest refused logins."""
        with self._lock:
            return list(self._refused)
