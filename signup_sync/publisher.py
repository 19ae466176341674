"""Publisher: puts events into the events queue, for the backends that have them.

    publisher = Publisher(queue_url)
    publisher.publish(ActivityCreated.new(author=sub, message="Hello", source="/backend"))

It needs nothing but boto3 and pydantic. An event's id is what makes it one: publishing the same event object again,
after an error for example, does no harm.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

from signup_sync.events import (
    ActivityCreated,
    Event,
    InvalidEvent,
    UserDeleted,
    UserSignedUp,
    UserUpdated,
    parse_event,
)
from signup_sync.sqs import MESSAGE_BYTES, Failure, Outgoing, SqsError, connect, in_batches, send, send_until_taken

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

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

CALL_ATTEMPTS = 5  # of one call that fails whole, with botocore's backoff in between

_Outcome = tuple[str, str, bool] | None
"""What `Unpublished` says of a failure, or None if the event is in the queue."""


@dataclass(frozen=True, slots=True)
class Unpublished:
    """An event that is not in the queue, and why: `code` is AWS's word, `reason` one line of text.

    `call_failed`: it was the call that failed, and with it all that was left to send, not this event. Where the answer
    was lost (a read timeout, for example), the event may be in the queue all the same.
    """

    event: Event
    code: str
    reason: str
    call_failed: bool


class NotPublished(Exception):
    """`publish` failed for good; `failure` says why."""

    def __init__(self, failure: Unpublished) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Publisher:
    """Publishes to one events queue. Safe to use from any thread, and meant to be kept.

    `client` is a boto3 SQS client; without one it is made from the standard AWS settings (its region is AWS_REGION,
    AWS_DEFAULT_REGION or the profile's), and `SqsError` is raised if they are not enough. It is closed by whoever made
    it.
    """

    def __init__(self, queue_url: str, *, client: "SQSClient | None" = None) -> None:
        self._client = client or connect(attempts=CALL_ATTEMPTS)
        self._closes_client = client is None
        self._queue_url = queue_url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. May be called twice."""
        if self._closes_client:
            self._client.close()

    def publish(self, event: Event) -> None:
        """Put one event into the queue; it is there when this returns.

        Raises `InvalidEvent` before anything is sent, `NotPublished` when the last attempt has failed.
        """
        for failure in self.publish_many([event]):
            raise NotPublished(failure)

    def publish_many(self, events: Iterable[Event]) -> list[Unpublished]:
        """Put events into the queue, and return those that it did not take, in order.

        All are checked first: `InvalidEvent` means that none was sent. What fails in part is tried again with backoff.
        When a call fails whole (no such queue, no permission, nobody there), what is left is not tried any more.
        """
        given = list(events)
        messages = [_message(event) for event in given]
        outcomes: dict[int, _Outcome] = {}
        try:
            for batch in in_batches(messages):
                self._send(messages, batch, outcomes)
        except SqsError as error:
            for index in range(len(messages)):
                outcomes.setdefault(index, (error.code, str(error), True))
        return [Unpublished(given[index], *why) for index, why in sorted(outcomes.items()) if why is not None]

    def _send(self, messages: list[Outgoing], batch: list[int], outcomes: dict[int, _Outcome]) -> None:
        """Send the messages with these indices, and note what became of each."""
        send_batch = partial(send, self._client, self._queue_url)
        for settled in send_until_taken(send_batch, [messages[index] for index in batch]):
            for place, failure in settled.items():
                outcomes[batch[place]] = None if failure is None else (failure.code, _reason(failure), False)


def _reason(failure: Failure) -> str:
    return f"{failure.code}: {failure.message}" if failure.message else failure.code


def _message(event: Event) -> Outgoing:
    """The event as the worker will read it, and found valid by the same rules. Raises `InvalidEvent`."""
    if not isinstance(event, Event):
        raise TypeError(f"an event is one of signup_sync's classes, not a {type(event).__name__}")
    # ASCII, as text may hold characters that SQS does not take (SQS API Reference, SendMessage, "MessageBody").
    body = json.dumps(
        event.model_dump(mode="json", warnings=False, exclude=None if event.traceparent else {"traceparent"})
    )
    parse_event(body)  # a model may have been made, or copied, without its checks
    message = Outgoing(body)
    if message.size > MESSAGE_BYTES:
        raise InvalidEvent(f"the event is larger than {MESSAGE_BYTES} bytes", unknown_type=False)
    return message
