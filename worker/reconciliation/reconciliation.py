"""Reconciliation: the users of a Cognito user pool who are not in the database are found, and enqueued.

There is one way into the table, and this is no second one: who is missing is published as `user.signed_up.v1`, as the
Cognito trigger does, with the names that the trigger would have given them and the time at which Cognito created them.
Events that are under way already are published once more, which does no harm.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from db.connection import Connection
from db.tables.users import find_users, list_users
from signup_sync.events import InvalidEvent, UserSignedUp
from worker.aws.cognito import PoolUser, UserPool
from worker.reconciliation.external_sort import SortedIds, difference
from worker.reconciliation.outbox import Outbox, Outcome
from worker.reconciliation.public_profile import profile

USERS_PAGE_SIZE = 1000  # rows

# "Imported and created users are already confirmed, but they must create their password the first time they sign in"
# (Amazon Cognito Developer Guide, "Signing up and confirming user accounts"; the same in the API Reference, UserType,
# "UserStatus"). No trigger will fire for them then, and what they post must find its author.
CONFIRMED = frozenset({"CONFIRMED", "EXTERNAL_PROVIDER", "RESET_REQUIRED", "FORCE_CHANGE_PASSWORD"})


@dataclass(frozen=True, slots=True)
class Missing:
    """A confirmed user who was not in the table, and what was done about it."""

    sub: str
    outcome: Outcome
    reason: str | None = None
    """Why not."""


@dataclass(slots=True)
class Summary:
    """How many users of the pool are what: `in_pool` is `present`, `missing` and all that are `skipped`.

    `missing` is `enqueued` and `failed`, and those that a dry run would have enqueued.
    """

    in_pool: int = 0
    present: int = 0
    missing: int = 0
    enqueued: int = 0
    failed: int = 0
    complete: bool = False
    """Whether it went through the whole pool."""
    skipped: dict[str, int] = field(default_factory=dict)
    """By reason."""


class Reconciliation:
    """Goes through a pool once.

    `carried`: the names of Cognito attributes that go along.
    `since`: users whom Cognito has last changed before are skipped (being confirmed is a change). It ends early when
    the outbox has been called off.
    """

    def __init__(
        self,
        pool: UserPool,
        connection: Connection,
        outbox: Outbox,
        carried: Sequence[str],
        *,
        since: datetime | None = None,
    ) -> None:
        self.summary = Summary()
        self._pool = pool
        self._connection = connection
        self._outbox = outbox
        self._carried = carried
        self._since = since

    def run(self) -> Iterator[tuple[list[PoolUser], list[Missing]]]:
        """Page by page: its users, and those of them who are missing.

        Raises `worker.aws.cognito.CognitoError` or `psycopg.Error`; then, as whenever it is left in the middle, the
        pages so far are done, and a new run does the rest.
        """
        for page in self._pool.pages():
            yield page, self.reconcile(page)
            if self._outbox.called_off:
                return
        self.summary.complete = True

    def reconcile(self, page: list[PoolUser]) -> list[Missing]:
        """These users alone. Returns those who are missing; raises `psycopg.Error`."""
        self.summary.in_pool += len(page)
        present = find_users(self._connection, [user.sub for user in page])
        self.summary.present += len(present)
        missing = []
        for user in page:
            if user.sub in present:
                continue
            reason = self._reason_to_skip(user)
            if reason:
                self.summary.skipped[reason] = self.summary.skipped.get(reason, 0) + 1
            else:
                missing.append(user)
        self.summary.missing += len(missing)
        return list(self._enqueue(missing))

    def _reason_to_skip(self, user: PoolUser) -> str | None:
        if user.status not in CONFIRMED:
            return user.status.lower()
        if not user.enabled:
            return "disabled"
        if self._since is not None and user.modified_at < self._since:
            return "not_changed_since"
        return None

    def _enqueue(self, users: Iterable[PoolUser]) -> Iterator[Missing]:
        events: list[UserSignedUp] = []
        for user in users:
            try:
                events.append(_sign_up(user, self._pool.id, self._carried))
            except InvalidEvent as error:
                self.summary.failed += 1
                yield Missing(user.sub, "not_enqueued", str(error))
        for event, sent in zip(events, self._outbox.send(events), strict=True):
            self.summary.enqueued += sent.outcome == "enqueued"
            self.summary.failed += sent.outcome == "not_enqueued"
            yield Missing(event.id, sent.outcome, sent.reason)


class OrphanSearch:
    """Looks for users who are here and not in the pool. Who is deleted is no longer here.

    Who is here is listed when it begins, before the pool is: who signs up meanwhile is no orphan, nor is who has not
    signed up before `created_before`. `living` is how many there are.
    """

    def __init__(self, connection: Connection, created_before: datetime | None = None) -> None:
        self.living = 0
        self._here = SortedIds()
        self._in_pool = SortedIds()
        for page in list_users(connection, page_size=USERS_PAGE_SIZE, created_before=created_before):
            self._here.add(page)
            self.living += len(page)

    def see(self, page: Iterable[PoolUser]) -> None:
        """These are in the pool, and so no orphans."""
        self._in_pool.add(user.sub for user in page)

    def orphans(self) -> Iterator[str]:
        """Their `cognito_user_id`, sorted, now that all of the pool has been seen."""
        return difference(self._here, self._in_pool)

    def close(self) -> None:
        """Remove what was written down."""
        self._here.close()
        self._in_pool.close()


def _sign_up(user: PoolUser, pool_id: str, carried: Sequence[str]) -> UserSignedUp:
    return UserSignedUp.new(
        cognito_user_id=user.sub,
        source=f"/cognito/{pool_id}",
        time=user.created_at,
        **profile(user.username, user.attributes, carried),
    )
