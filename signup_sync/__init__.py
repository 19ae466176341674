"""signup-sync for backends: publish events, and read what became of them.

    from signup_sync import ActivityCreated, Publisher

    publisher = Publisher(queue_url)
    publisher.publish(ActivityCreated.new(author=sub, message="Hello", source="/backend"))

`signup_sync.postgres` (extra `postgres`) reads the feeds.
"""

from signup_sync.events import ActivityCreated, InvalidEvent, UserSignedUp
from signup_sync.publisher import NotPublished, Publisher, Unpublished
from signup_sync.sqs import SqsError

__all__ = ["ActivityCreated", "InvalidEvent", "NotPublished", "Publisher", "SqsError", "Unpublished", "UserSignedUp"]
