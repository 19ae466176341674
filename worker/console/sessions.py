"""Sessions: who is logged in. They are in memory: when the console ends, everybody is logged out."""

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from worker.console.identity.people import Person

IDLE = 3600.0  # seconds after which a session that is not used ends
LIFETIME = 43_200.0  # seconds after which every session ends
REVEALED_FOR = 900.0  # seconds for which personal data stays visible
MAX_SESSIONS = 100
MAX_REVEALED = 1000  # messages and users of one session
MAX_PLANS = 50  # of one session


@dataclass(frozen=True, slots=True)
class Plan:
    """What somebody was asked to confirm: these messages, and no others, whatever arrives meanwhile."""

    action: str
    ids: tuple[str, ...]


@dataclass(slots=True)
class Session:
    """`csrf` is in every form of the session."""

    id: str
    who: Person
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    started_at: float = field(default_factory=time.monotonic)
    used_at: float = field(default_factory=time.monotonic)
    _revealed: "OrderedDict[str, float]" = field(default_factory=OrderedDict)
    _plans: "OrderedDict[str, Plan]" = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_over(self) -> bool:
        now = time.monotonic()
        return now - self.used_at > IDLE or now - self.started_at > LIFETIME

    def reveal(self, subject: str) -> None:
        """Show the personal data of this message, user or page for a while."""
        with self._lock:
            self._revealed[subject] = time.monotonic() + REVEALED_FOR
            self._revealed.move_to_end(subject)
            if len(self._revealed) > MAX_REVEALED:
                self._revealed.popitem(last=False)

    def is_revealed(self, subject: str) -> bool:
        with self._lock:
            return self._revealed.get(subject, 0.0) > time.monotonic()

    def hide(self) -> None:
        """Mask everything again."""
        with self._lock:
            self._revealed.clear()

    @property
    def reveals(self) -> bool:
        """Whether anything is revealed now."""
        with self._lock:
            return any(until > time.monotonic() for until in self._revealed.values())

    def remember(self, plan: Plan) -> str:
        """Keep a plan until it is confirmed; returns its key."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._plans[key] = plan
            if len(self._plans) > MAX_PLANS:
                self._plans.popitem(last=False)
        return key

    def plan(self, key: str) -> Plan | None:
        with self._lock:
            return self._plans.get(key)

    def take_plan(self, key: str) -> Plan | None:
        """The plan, which can be taken once: a form that is sent twice does nothing the second time."""
        with self._lock:
            return self._plans.pop(key, None)


class Door(Protocol):
    """What opens a session. Safe to use from any thread."""

    asks_name: bool
    """Whether whoever has a token says who they are."""

    def take(self, token: str, who: str) -> Person | None:
        """Who has that token; None if it opens nothing."""

    def admits(self, person: Person) -> bool:
        """Whether a session of theirs may go on."""


class Tokens:
    """One token for all. A `given` one opens sessions again and again.

    Without it each does so once, and `announce` is told the next one.
    """

    asks_name = True

    def __init__(self, given: str | None = None, announce: Callable[[str], None] = lambda _: None) -> None:
        self._is_given = given is not None
        self._announce = announce
        self._lock = threading.Lock()
        self.newest = given or secrets.token_urlsafe(32)

    def take(self, token: str, who: str) -> Person | None:
        """The person as they call themselves, if that is the newest token; if it opens only once, it has."""
        with self._lock:
            if not hmac.compare_digest(token.encode(errors="replace"), self.newest.encode()):
                return None
            if not self._is_given:
                self.newest = secrets.token_urlsafe(32)
                self._announce(self.newest)
            return Person(who, "declared")

    def admits(self, _: Person) -> bool:
        return True


class Sessions:
    """Opened with a token. Safe to use from any thread."""

    def __init__(self, door: Door) -> None:
        self.asks_name = door.asks_name
        self._door = door
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._of_people: OrderedDict[Person, Session] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, token: str, who: str) -> Session | None:
        """A new session; None if that is not a token that opens one."""
        person = self._door.take(token, who)
        if person is None:
            return None
        session = Session(secrets.token_urlsafe(32), person)
        with self._lock:
            self._sessions[session.id] = session
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        return session

    def find(self, session_id: str) -> Session | None:
        """The session with that id, which is used by this."""
        with self._lock:
            session = self._sessions.get(session_id)
        if session is None:
            return None
        if session.is_over or not self._door.admits(session.who):
            self.close(session)
            return None
        session.used_at = time.monotonic()
        return session

    def of(self, person: Person) -> tuple[Session, bool]:
        """The session of somebody of whom each request proves who it is, and whether it is new. It needs no cookie."""
        with self._lock:
            found = self._of_people.get(person)
            is_new = found is None or found.is_over
            session = Session(secrets.token_urlsafe(32), person) if found is None or found.is_over else found
            self._of_people[person] = session
            self._of_people.move_to_end(person)
            if len(self._of_people) > MAX_SESSIONS:
                self._of_people.popitem(last=False)
        session.used_at = time.monotonic()
        return session, is_new

    def close(self, session: Session) -> None:
        with self._lock:
            self._sessions.pop(session.id, None)
            if self._of_people.get(session.who) is session:
                del self._of_people[session.who]
