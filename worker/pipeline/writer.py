"""Writer: a batch becomes one transaction, and each of its messages one outcome.

The steps: insert users, update users, insert activities, delete users, commit, say what became of each. A deletion is
the last, so that what others reply to is there. Where the database refuses the whole, the batch is halved until the
message that it refuses is alone; the others commit.
"""

from collections.abc import Collection, Sequence
from itertools import count

import psycopg
import structlog

from db.pool import ACQUIRE_TIMEOUT, CONNECT_TIMEOUT
from db.tables.activities import NewActivity, insert_activities
from db.tables.deletions import Deletion, delete_users
from db.tables.name_locks import lock_for_changes
from db.tables.users import NewProfile, NewUser, insert_users, update_users
from db.tables.written import Written
from signup_sync.backoff import exponential
from signup_sync.events import ActivityCreated, InvalidEvent, UserDeleted, UserSignedUp, UserUpdated
from signup_sync.postgres.errors import Fault, describe, fault_of, is_too_slow
from worker.clock import SYSTEM_CLOCK, Clock
from worker.delivery import Delivery
from worker.failure import FailureReason
from worker.pipeline.acknowledger import Acknowledger
from worker.pipeline.database_gate import DatabaseGate
from worker.pipeline.parked_messages import ParkedMessages
from worker.pipeline.store import Store
from worker.source_queue import PARSERS, SourceQueue, WrongQueue
from worker.telemetry.instrumentation import NO_INSTRUMENTATION, Committed, Instrumentation

CONFLICT_RETRIES = 3  # of a whole batch that was rolled back because of another transaction
FIRST_CONFLICT_DELAY = 0.02  # seconds
MAX_CONFLICT_DELAY = 0.5  # seconds
STATEMENTS = 4  # of a transaction; there may be more, but not all of them as slow as is allowed
STALE_DELAY = 0.1  # seconds before a batch that failed in an outage that is over is tried again

_CONFLICT = "40"  # class of SQLSTATE: Transaction Rollback

log = structlog.get_logger()


class Writer:
    """Safe to use from any thread, of which as many may write at once as the database has connections.

    `statement_timeout` is the database's, in seconds. All messages come from one queue, `source`; `parked` are those of
    all queues.
    """

    def __init__(
        self,
        database: Store,
        gate: DatabaseGate,
        acknowledger: Acknowledger,
        parked: ParkedMessages,
        *,
        statement_timeout: float,
        source: SourceQueue = "events",
        instrumentation: Instrumentation = NO_INSTRUMENTATION,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._database = database
        self._gate = gate
        self._acknowledger = acknowledger
        self._clock = clock
        self._parked = parked
        self._parse = PARSERS[source]
        self._transaction_limit = ACQUIRE_TIMEOUT + CONNECT_TIMEOUT + STATEMENTS * statement_timeout
        self._instrumentation = instrumentation

    def parse(self, batch: Sequence[Delivery]) -> list[Delivery]:
        """Those that are events; the others are dead."""
        events = []
        for delivery in batch:
            try:
                delivery.event = self._parse(delivery.message.body)
            except InvalidEvent as error:
                self._acknowledger.dead(delivery, _reason(error), str(error))
            else:
                events.append(delivery)
        return events

    def write(self, batch: Sequence[Delivery]) -> list[Delivery]:
        """Give each an outcome. Returns those that are committed, which are to be deleted; the others are settled."""
        if not batch:
            return []
        delays = exponential(FIRST_CONFLICT_DELAY, MAX_CONFLICT_DELAY)
        for attempt in count(1):
            began = self._clock.monotonic()
            try:
                written = self._transaction(batch)
            except psycopg.Error as error:
                if (error.sqlstate or "").startswith(_CONFLICT) and attempt <= CONFLICT_RETRIES:
                    self._clock.sleep(next(delays))
                    continue
                committed = self._not_written(batch, error, began)
                if committed is not None:
                    return committed
                self._clock.sleep(STALE_DELAY)
            else:
                self._gate.committed()
                return self._settle(batch, written, began)
        raise AssertionError("count() does not end")

    def _transaction(self, batch: Sequence[Delivery]) -> Written:
        self._instrumentation.busy(self._transaction_limit)
        events = [delivery.event for delivery in batch]
        users = [_new_user(event) for event in events if isinstance(event, UserSignedUp)]
        activities = [_new_activity(event) for event in events if isinstance(event, ActivityCreated)]
        profiles = deletions = None
        if len(users) + len(activities) < len(events):
            profiles = [_new_profile(event) for event in events if isinstance(event, UserUpdated)]
            deletions = [_deletion(event) for event in events if isinstance(event, UserDeleted)]
        written = Written()
        with self._database.transaction() as connection:
            if profiles or deletions:
                lock_for_changes(connection)
            if users:
                written.users = insert_users(connection, users)
            if profiles:
                written.updates = update_users(connection, profiles)
            if activities:
                written.activities = insert_activities(connection, activities)
            if deletions:
                written.deleted = delete_users(connection, deletions)
        return written

    def _not_written(self, batch: Sequence[Delivery], error: psycopg.Error, began: float) -> list[Delivery] | None:
        """Say what becomes of a batch that was rolled back, and return what of it was committed after all; None says
        that it should be tried again."""
        fault, error = self._fault(error)
        if fault is Fault.DATABASE:
            if not self._gate.shut(error, began=began):
                return None
            self._acknowledger.release(batch)
        elif len(batch) > 1:
            middle = len(batch) // 2
            return self.write(batch[:middle]) + self.write(batch[middle:])
        elif fault is Fault.MESSAGE:
            self._acknowledger.dead(batch[0], "rejected_by_database", describe(error))
        else:
            self._acknowledger.put_off(batch[0], "attempts_exhausted", describe(error))
        return []

    def _fault(self, error: psycopg.Error) -> tuple[Fault, psycopg.Error]:
        """Whose fault it is; a statement that took too long is the database's if others take too long as well: those of
        the probe, or those that write rows of no message."""
        if is_too_slow(error):
            self._instrumentation.busy(2 * self._transaction_limit)
            try:
                self._database.probe()
                self._database.rehearse()
            except psycopg.Error as probe_error:
                return Fault.DATABASE, probe_error
        return fault_of(error), error

    def _settle(self, batch: Sequence[Delivery], written: Written, began: float) -> list[Delivery]:
        """The transaction is committed: find out what that means for each message."""
        ended = self._clock.monotonic()
        committed = [delivery for delivery in batch if not self._put_off(delivery, written)]
        if reassigned := written.handles_reassigned():
            for delivery in committed:
                _log_reassigned(delivery, reassigned)
        self._parked.wake(written.keys())
        if committed:
            self._instrumentation.committed(Committed(committed, written, began, ended))
        self._report(committed, written)
        return committed

    def _put_off(self, delivery: Delivery, written: Written) -> bool:
        """Whether it was not written after all."""
        event = delivery.event
        if isinstance(event, ActivityCreated):
            if event.id in written.activities.without_author:
                self._wait_for(delivery, event.data.cognito_user_id, "unknown_author", "no such user so far")
            elif event.id in written.activities.without_parent:
                parent = str(event.data.reply_to_activity_uuid)
                self._wait_for(delivery, parent, "unknown_parent", "no such activity so far")
            else:
                return False
        elif event is not None and written.is_refused(event):
            self._acknowledger.dead(delivery, "rejected_by_database", "no free handle was found")
        elif isinstance(event, UserUpdated) and event.data.cognito_user_id in written.updates.unknown:
            self._wait_for(delivery, event.data.cognito_user_id, "unknown_user", "no such user so far")
        else:
            return False
        return True

    def _wait_for(self, delivery: Delivery, waited_for: str, reason: FailureReason, detail: str) -> None:
        seconds = self._acknowledger.put_off(delivery, reason, detail)
        if seconds:
            self._parked.add(waited_for, delivery.message, reason, seconds, self._acknowledger.wake)

    def _report(self, committed: Sequence[Delivery], written: Written) -> None:
        if not committed:
            return
        now = self._clock.monotonic()
        log.debug(
            "batch_committed",
            messages=len(committed),
            users=len(written.users.inserted),
            activities=len(written.activities.inserted),
            received_to_committed_ms=round(1000 * (now - min(delivery.received_at for delivery in committed)), 1),
        )


def _reason(error: InvalidEvent) -> FailureReason:
    if isinstance(error, WrongQueue):
        return "wrong_queue"
    return "unknown_type" if error.unknown_type else "invalid_event"


def _log_reassigned(delivery: Delivery, reassigned: Collection[str]) -> None:
    event = delivery.event
    if isinstance(event, UserSignedUp | UserUpdated) and event.data.cognito_user_id in reassigned:
        log.info("handle_reassigned", **delivery.describe())


def _new_user(event: UserSignedUp) -> NewUser:
    data = event.data
    return NewUser(data.cognito_user_id, data.display_name, data.handle, data.email, event.time, data.attributes)


def _new_profile(event: UserUpdated) -> NewProfile:
    data = event.data
    return NewProfile(
        event.id, data.cognito_user_id, data.display_name, data.handle, data.email, event.time, data.attributes
    )


def _deletion(event: UserDeleted) -> Deletion:
    data = event.data
    return Deletion(data.cognito_user_id, event.time, erases=data.activities == "erase")


def _new_activity(event: ActivityCreated) -> NewActivity:
    data = event.data
    return NewActivity(
        event.id, data.cognito_user_id, data.message, data.reply_to_activity_uuid, data.expires_at, event.time
    )
