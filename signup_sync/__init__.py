"""signup-sync for backends: publish events, and read what became of them.

    from signup_sync import ActivityCreated, Publisher

    publisher = Publisher(queue_url)
    publisher.publish(ActivityCreated.new(author=sub, message="Hello", source="/backend"))

`signup_sync.postgres` (extra `postgres`) reads the feeds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signup_sync.events import ActivityCreated, InvalidEvent, UserDeleted, UserSignedUp, UserUpdated
    from signup_sync.publisher import NotPublished, Publisher, Unpublished
    from signup_sync.sqs import SqsError

__all__ = [
    "ActivityCreated",
    "InvalidEvent",
    "NotPublished",
    "Publisher",
    "SqsError",
    "Unpublished",
    "UserDeleted",
    "UserSignedUp",
    "UserUpdated",
]

_MODULES = {
    **dict.fromkeys(("ActivityCreated", "InvalidEvent", "UserDeleted", "UserSignedUp", "UserUpdated"), "events"),
    **dict.fromkeys(("NotPublished", "Publisher", "Unpublished"), "publisher"),
    "SqsError": "sqs",
}


def __getattr__(name: str) -> object:
    """When it is asked for: who only reads feeds need not wait for what publishing needs (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
