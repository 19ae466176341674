"""User lookup: where a user is, in Cognito, in the table, in the dead-letter queue; and so why they have no row."""

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal
from uuid import UUID

import psycopg

from db.pool import Database
from db.tables.users import User, look_up_users
from signup_sync.postgres.errors import describe
from signup_sync.publisher import Publisher
from worker.aws.cognito import CognitoError, PoolUser, UserPool
from worker.console.dead_letter_cache import Listed, Snapshot
from worker.console.formats import age
from worker.reconciliation.outbox import Outbox
from worker.reconciliation.reconciliation import CONFIRMED, Missing, Reconciliation

MAX_PEOPLE = 20  # of one question
MAX_LETTERS = 100  # of one question
MAX_NAME = 320  # characters, of an e-mail address (RFC 5321, 4.5.3.1)

# PostgreSQL documentation, 8.3 "Character Types"; UTF-8 has no surrogates (RFC 3629, 3).
_is_unstorable = re.compile("[\x00\ud800-\udfff]").search

Verdict = Literal[
    "in_table",
    "deleted",
    "dead_letter",
    "perhaps_dead_letter",
    "missing",
    "unconfirmed",
    "disabled",
    "unknown",
    "not_in_pool",
]


@dataclass(slots=True)
class Person:
    """What is known of a user; `id` is the `sub`."""

    id: str
    pool_user: PoolUser | None = None
    row: User | None = None
    letters: list[Listed] = field(default_factory=list)

    @property
    def sign_up(self) -> Listed | None:
        """The dead letter that would have made the row."""
        return next((letter for letter in self.letters if letter.is_sign_up), None)

    @property
    def has_confirmed(self) -> bool:
        return self.pool_user is not None and self.pool_user.status in CONFIRMED


@dataclass(slots=True)
class Answer:
    """`problems` says which of the places could not be asked; without a pool Cognito is not asked at all.

    `letters_doubt` says why there may be a dead letter of theirs though none was seen; empty if there is none.
    """

    people: list[Person] = field(default_factory=list)
    letters: list[Listed] = field(default_factory=list)
    """Dead letters with that text that do not say whose they are."""
    problems: list[str] = field(default_factory=list)
    asked_cognito: bool = False
    asked_table: bool = False
    letters_doubt: str = ""

    def verdict(self, person: Person) -> Verdict:
        """The answer to: why has this user no row?"""
        if person.row is not None:
            return "in_table" if person.row.deleted_at is None else "deleted"
        if person.sign_up is not None:
            return "dead_letter"
        if not self.asked_table:
            return "unknown"
        if person.pool_user is None:
            return "not_in_pool" if self.asked_cognito and not self.letters_doubt else "unknown"
        if not person.has_confirmed:
            return "unconfirmed"
        if not person.pool_user.enabled:
            return "disabled"
        return "perhaps_dead_letter" if self.letters_doubt else "missing"


class UserLookup:
    """Looks users up. Calls to Cognito and the database are made at once, by the `executor`.

    `carried`: the names of the Cognito attributes that go along with who is enqueued.
    """

    def __init__(self, database: Database, pool: UserPool | None, executor: Executor, carried: Sequence[str]) -> None:
        self._database = database
        self._pool = pool
        self._executor = executor
        self._carried = carried

    def look_up(self, name: str, snapshot: Snapshot | None, asked_at: float, problem: str | None) -> Answer:
        """By id, handle or e-mail address: whose it is in any of the places, and what the others say of them.

        `snapshot` is what was seen of the dead letters when the question came (since the epoch), `problem` why they
        could not be read.
        """
        doubt = _doubt(snapshot, asked_at, problem)
        answer = Answer(asked_cognito=self._pool is not None, asked_table=True, letters_doubt=doubt)
        people: dict[str, Person] = {}
        self._from_pool_and_table(name, frozenset(), people, answer)
        letters = _letters(snapshot, {name, *people})
        for letter in letters:
            owner = letter.user_id
            if owner is not None:
                people.setdefault(owner, Person(owner))
        # Whom only one of the places knows by that name, the others may know by their id.
        incomplete = {p.id for p in people.values() if p.row is None or p.pool_user is None} - {name}
        if incomplete:
            self._from_pool_and_table("", frozenset(incomplete), people, answer)
        for letter in letters:
            owner = letter.user_id
            (people[owner].letters if owner is not None else answer.letters).append(letter)
        answer.people = list(people.values())[:MAX_PEOPLE]
        return answer

    def enqueue(self, sub: str, publisher: Publisher) -> Missing | None:
        """Enqueue a user of the pool who is confirmed and has no row; None if there is nothing to do.

        Raises `CognitoError` and `psycopg.Error`.
        """
        if self._pool is None:
            return None
        users = [user for user in self._pool.find("sub", sub) if user.sub == sub]
        with self._database.transaction() as connection:
            missing = Reconciliation(self._pool, connection, Outbox(publisher), self._carried).reconcile(users)
        return missing[0] if missing else None

    def _from_pool_and_table(self, name: str, ids: frozenset[str], people: dict[str, Person], answer: Answer) -> None:
        rows = self._executor.submit(self._rows, name, ids)
        find: Callable[[str, str], list[PoolUser]] = self._pool.find if self._pool else _nobody
        found = [self._executor.submit(find, attribute, value) for attribute, value in self._questions(name, ids)]
        for user in _results(found, answer):
            people.setdefault(user.sub, Person(user.sub)).pool_user = user
        try:
            for row in rows.result():
                people.setdefault(row.cognito_user_id, Person(row.cognito_user_id)).row = row
        except psycopg.Error as error:
            answer.asked_table = False
            _note(answer, f"database: {describe(error)}")

    def _questions(self, name: str, ids: Iterable[str]) -> list[tuple[str, str]]:
        if self._pool is None:
            return []
        asked = [("sub", each) for each in ids if _is_uuid(each)]
        if name:
            attributes = ["username", "sub"] if _is_uuid(name) else ["username", "preferred_username"]
            asked += [(attribute, name) for attribute in [*attributes, *(["email"] if "@" in name else [])]]
        return asked[: 2 * MAX_PEOPLE]

    def _rows(self, name: str, ids: Iterable[str]) -> list[User]:
        if _is_unstorable(name):
            return []
        with self._database.transaction() as connection:
            storable = [each for each in ids if not _is_unstorable(each)]
            return look_up_users(connection, name, storable, limit=MAX_PEOPLE)


def _results(questions: Iterable["Future[list[PoolUser]]"], answer: Answer) -> list[PoolUser]:
    users = []
    for question in questions:
        try:
            users += [user for user in question.result() if "sub" in user.attributes]
        except CognitoError as error:
            answer.asked_cognito = False
            _note(answer, f"Cognito: {error}")
        except KeyError:  # of a user without what every user has
            answer.asked_cognito = False
            _note(answer, "Cognito: its answer cannot be read")
    return users


def _nobody(_: str, __: str) -> list[PoolUser]:
    return []


def _note(answer: Answer, problem: str) -> None:
    if problem not in answer.problems:
        answer.problems.append(problem)


def _doubt(snapshot: Snapshot | None, asked_at: float, problem: str | None) -> str:
    """Why what was not seen may be there all the same."""
    if problem is not None:
        return f"they cannot be read ({problem})"
    if snapshot is None:
        return "they have not been read yet"
    if snapshot.taken_at < asked_at:
        return f"they were read {age(snapshot.taken_at)} ago, and reading them takes long"
    return ", ".join(snapshot.unseen)


def _letters(snapshot: Snapshot | None, names: Iterable[str]) -> list[Listed]:
    """The dead letters that are about any of these, newest first."""
    wanted = list(names)
    about = (letter for letter in (snapshot.letters if snapshot else ()) if any(map(letter.is_about, wanted)))
    return list(islice(about, MAX_LETTERS))


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
