"""Deletions: rows whose user is no longer in the pool, and what is enqueued about them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from signup_sync.events import InvalidEvent, UserDeleted
from worker.aws.cognito import UserPool
from worker.reconciliation.outbox import Outbox, Sent
from worker.reconciliation.reconciliation import OrphanSearch

MOST = 20  # one in so many of the living rows; more is the sign of another pool
# ListUsers is "eventually consistent" (Amazon Cognito user pools API Reference, ListUsers): of who has just signed up
# it may not know yet, and an erasure is for good.
YOUNGEST = timedelta(hours=1)
_PAGE_SIZE = 50  # events


class TooMany(Exception):
    """More than one row in `MOST` would be erased: `gone` of `living`."""

    def __init__(self, gone: int, living: int) -> None:
        super().__init__(f"{gone} of {living} rows")
        self.gone = gone
        self.living = living


@dataclass(frozen=True, slots=True)
class Erasure:
    """Of the row of a user who is not in the pool: what was done about it."""

    sub: str
    sent: Sent


@dataclass(slots=True)
class ErasureCounts:
    """`failed` could not be enqueued; who is in the pool after all is in neither."""

    enqueued: int = 0
    failed: int = 0


class Erasures:
    """Enqueues the deletion of users who are not in the pool."""

    def __init__(self, pool: UserPool, outbox: Outbox) -> None:
        self.counts = ErasureCounts()
        self._pool = pool
        self._outbox = outbox

    def run(self, search: OrphanSearch) -> Iterator[Erasure]:
        """When all of the pool has been seen. Each of them is looked for once more, by their id.

        Raises `TooMany` before anything is enqueued, and `CognitoError`.
        """
        gone = sum(1 for _ in search.orphans())
        if gone * MOST > search.living:
            raise TooMany(gone, search.living)
        orphans = search.orphans()
        while page := list(islice(orphans, _PAGE_SIZE)):
            yield from self._erase(page)
            if self._outbox.called_off:
                return

    def _erase(self, subs: list[str]) -> Iterator[Erasure]:
        events: list[UserDeleted] = []
        for sub in subs:
            if self._pool.find("sub", sub):
                yield Erasure(sub, Sent("not_enqueued", "is in the pool after all"))
                continue
            try:
                events.append(UserDeleted.new(cognito_user_id=sub, source=f"/cognito/{self._pool.id}"))
            except InvalidEvent as error:
                self.counts.failed += 1
                yield Erasure(sub, Sent("not_enqueued", str(error)))
        for event, sent in zip(events, self._outbox.send(events), strict=True):
            self.counts.enqueued += sent.outcome == "enqueued"
            self.counts.failed += sent.outcome == "not_enqueued"
            yield Erasure(event.data.cognito_user_id, sent)
