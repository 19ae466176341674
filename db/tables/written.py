"""Written: what one transaction of the worker has done, for each kind of event."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from db.tables.activities import ActivitiesInserted
from db.tables.users import UsersInserted, UsersUpdated
from signup_sync.events import ActivityCreated, Event, UserDeleted, UserSignedUp, UserUpdated


@dataclass(slots=True)
class Written:
    """`deleted` are the users (by `cognito_user_id`) who are tombstones now and were not before, or since later."""

    users: UsersInserted = field(default_factory=UsersInserted)
    updates: UsersUpdated = field(default_factory=UsersUpdated)
    deleted: set[str] = field(default_factory=set)
    activities: ActivitiesInserted = field(default_factory=ActivitiesInserted)

    def new(self) -> dict[str, int]:
        """How many events have changed the tables, by type."""
        return {
            "user.signed_up.v1": len(self.users.inserted),
            "user.updated.v1": len(self.updates.updated),
            "user.deleted.v1": len(self.deleted),
            "activity.created.v1": len(self.activities.inserted),
        }

    def is_new(self, event: Event) -> bool:
        """Whether this event has changed the tables."""
        match event:
            case UserSignedUp():
                return event.data.cognito_user_id in self.users.inserted
            case UserUpdated():
                return event.id in self.updates.updated
            case UserDeleted():
                return event.data.cognito_user_id in self.deleted
            case ActivityCreated():
                return event.id in self.activities.inserted

    def ignored(self, events: Iterable[Event]) -> Counter[str]:
        """How many came too late, by type: their user is deleted. A sign-up that does is a duplicate."""
        if not self.updates.deleted and not self.activities.ignored:
            return Counter()
        return Counter(event.type for event in events if self._is_ignored(event))

    def _is_ignored(self, event: Event) -> bool:
        match event:
            case UserUpdated():
                return event.data.cognito_user_id in self.updates.deleted
            case ActivityCreated():
                return event.id in self.activities.ignored
            case _:
                return False

    def is_refused(self, event: Event) -> bool:
        """Whether no handle could be found for it."""
        match event:
            case UserSignedUp():
                return event.data.cognito_user_id in self.users.refused
            case UserUpdated():
                return event.data.cognito_user_id in self.updates.refused
            case _:
                return False

    def handles_reassigned(self) -> set[str]:
        """The users (by `cognito_user_id`) whose handle somebody else has."""
        return self.users.handles_reassigned.keys() | self.updates.handles_reassigned.keys()

    def keys(self) -> list[str]:
        """The ids that others may have waited for: of users and of activities."""
        return [*self.users.inserted, *self.deleted, *map(str, self.activities.inserted)]
