"""SQS: every call to it. Nothing else in the worker knows how SQS is spoken to.

Limits are those of the SQS Developer Guide, "Amazon SQS message quotas".
"""

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from botocore.exceptions import BotoCoreError, ClientError

from signup_sync import sqs as sending
from signup_sync.sqs import (
    BATCH_ENTRIES,
    CALL_ATTEMPTS,
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    Attributes,
    Failure,
    Outgoing,
    SqsError,
    entries_of,
    failures_of,
    sqs_error,
)
from worker.aws.lean_client import LeanClient

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

MESSAGE_ATTRIBUTES = 10  # attributes of one message
IN_FLIGHT = 120_000  # messages of one queue; beyond that a long poll gives none, and a short one `OverLimit`
MOVES_PER_SECOND = 500  # messages; the fastest that a move task can be told to be (SQS API Reference)
CALL_LIMIT = CALL_ATTEMPTS * (CONNECT_TIMEOUT + READ_TIMEOUT) + 3.0  # seconds that a call takes at most, with backoff

# Of a receipt handle that is of no more use: the lease is lost, and somebody else has the message.
NOT_IN_FLIGHT = "MessageNotInflight"
LEASE_LOST = frozenset({"ReceiptHandleIsInvalid", NOT_IN_FLIGHT})
# Of an entry that SQS will not take as it is. A lost lease has this code too (DeleteMessage with an old handle).
NOT_TAKEN = frozenset({"InvalidParameterValue", "BatchRequestTooLong", "InvalidMessageContents", "MessageTooLong"})

# System attributes of a message (SQS API Reference, ReceiveMessage, "MessageSystemAttributeNames"): those that the
# worker asks for, and the ARN of the queue from which SQS has moved it to the dead-letter queue.
_RECEIVED = ["ApproximateReceiveCount", "SentTimestamp"]
_MOVED_FROM = "DeadLetterQueueSourceArn"

OnCall = Callable[[str, str], None]

# A message attribute of ours: how often an event was received before its message was sent anew.
ATTEMPTS_BEFORE = "attempts_before"
_is_count = re.compile("[0-9]{1,4}", re.ASCII).fullmatch  # MAX_ATTEMPTS is below that

# SQS takes text of the characters that XML 1.0 allows (SQS API Reference, SendMessage, "Message contents").
_NOT_ALLOWED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Received(NamedTuple):
    """A message as it was received; `receive_count` counts this time too, and those of the messages that it stands for
    (`with_attempts`).

    `sent_at` is in seconds since the epoch, of SQS's clock. Where SQS itself moved it to the dead-letter queue, it is
    the time at which it was first sent (SQS Developer Guide, "Using dead-letter queues in Amazon SQS").

    `moved_from` is the name of the queue from which SQS itself moved it, as far as `Queue.receive` was told.
    """

    message_id: str
    receipt_handle: str
    body: str
    receive_count: int
    attributes: Attributes
    sent_at: float = 0.0
    moved_from: str = ""


@dataclass(frozen=True, slots=True)
class QueueAttributes:
    """What a queue says of itself; `max_receive_count` and `dead_letter_arn` are None without a redrive policy.

    The counts are approximate, and up to a minute old (SQS API Reference, GetQueueAttributes).
    """

    arn: str
    visibility_timeout: int  # seconds
    max_receive_count: int | None
    dead_letter_arn: str | None
    visible: int = 0  # messages
    in_flight: int = 0  # messages
    answered_at: float = 0.0  # seconds since the epoch, of SQS's clock, rounded down


@dataclass(frozen=True, slots=True)
class MoveTask:
    """SQS's own way of moving messages from a dead-letter queue; `handle` is None unless it is running."""

    handle: str | None
    status: str
    moved: int
    to_move: int | None
    failure_reason: str | None


def connect(
    *, wait_seconds: int = 0, connections: int = 10, attempts: int = CALL_ATTEMPTS, lean: bool = False
) -> "SQSClient":
    """A client as `signup_sync.sqs` makes it; a `lean` one is for thousands of calls (`worker.aws.lean_client`).

    Raises `SqsError` when the settings are not enough.
    """
    client = sending.connect(wait_seconds=wait_seconds, connections=connections, attempts=attempts)
    # It has the methods that a `Queue` calls, and passes the others on.
    return cast("SQSClient", LeanClient(client)) if lean else client


class Queue:
    """One queue. Every method raises `SqsError` when the call failed whole; batch calls return what failed in part.

    `on_call` is told of each call: its name in boto3, and `ok`, `partial` (some entries failed) or a code of
    `SqsError`.
    """

    def __init__(self, url: str, client: "SQSClient", on_call: OnCall = lambda _operation, _outcome: None) -> None:
        self.url = url
        self._client = client
        self._on_call = on_call

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    def describe(self) -> QueueAttributes:
        response = self._call("get_queue_attributes", AttributeNames=["All"])
        answer = response["Attributes"]
        redrive = json.loads(answer.get("RedrivePolicy") or "{}")
        count = redrive.get("maxReceiveCount")
        return QueueAttributes(
            arn=answer.get("QueueArn", ""),
            visibility_timeout=int(answer.get("VisibilityTimeout", 30)),
            max_receive_count=None if count is None else int(count),
            dead_letter_arn=redrive.get("deadLetterTargetArn"),
            visible=int(answer.get("ApproximateNumberOfMessages", 0)),
            in_flight=int(answer.get("ApproximateNumberOfMessagesNotVisible", 0)),
            answered_at=_answered_at(response),
        )

    def receive(self, *, wait_seconds: int, visibility_timeout: int, most: int = BATCH_ENTRIES) -> list[Received]:
        """Up to ten messages (or `most`), as soon as there are any and after `wait_seconds` at the latest."""
        answers = self._receive(1, wait_seconds, visibility_timeout, most, ["All"])
        return [_received(message)._replace(moved_from=_moved_from(message)) for message in answers]

    def receive_together(
        self, calls: int, *, wait_seconds: int, visibility_timeout: int, most: int = BATCH_ENTRIES
    ) -> list[Received]:
        """What so many receives at the same time bring. An error that comes beside messages is counted, no more."""
        return list(map(_received, self._receive(calls, wait_seconds, visibility_timeout, most, _RECEIVED)))

    def _receive(
        self, calls: int, wait_seconds: int, visibility_timeout: int, most: int, names: Sequence[str]
    ) -> list[Any]:
        parameters = {
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": wait_seconds,
            "VisibilityTimeout": visibility_timeout,
            "AttributeNames": names,  # deprecated, and the only one that some servers know
            "MessageSystemAttributeNames": names,
            "MessageAttributeNames": ["All"],
        }
        answers = self._call_together("receive_message", [parameters] * calls)
        errors = [answer for answer in answers if isinstance(answer, SqsError)]
        messages = [
            message for answer in answers if not isinstance(answer, SqsError) for message in answer.get("Messages", [])
        ]
        if errors and not messages:
            raise errors[0]
        return messages

    def delete(self, receipt_handles: Sequence[str]) -> list[Failure]:
        entries = [{"Id": str(index), "ReceiptHandle": handle} for index, handle in enumerate(receipt_handles)]
        return failures_of(self._call("delete_message_batch", Entries=entries))

    def delete_together(self, receipt_handles: Sequence[str]) -> list[int]:
        """Delete any number, by calls at the same time; the places of those that are not deleted, for any reason."""
        calls = []
        for start in range(0, len(receipt_handles), BATCH_ENTRIES):
            handles = enumerate(receipt_handles[start : start + BATCH_ENTRIES], start)
            calls.append({"Entries": [{"Id": str(index), "ReceiptHandle": handle} for index, handle in handles]})
        left: list[int] = []
        for call, answer in zip(calls, self._call_together("delete_message_batch", calls), strict=True):
            if isinstance(answer, SqsError):
                left += [int(entry["Id"]) for entry in call["Entries"]]
            else:
                left += [failure.index for failure in failures_of(answer)]
        return left

    def change_visibility(self, timeouts: Sequence[tuple[str, int]]) -> list[Failure]:
        """Make messages visible in so many seconds from now: `(receipt_handle, seconds)`."""
        entries = [
            {"Id": str(index), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for index, (handle, seconds) in enumerate(timeouts)
        ]
        return failures_of(self._call("change_message_visibility_batch", Entries=entries))

    def send(self, messages: Sequence[Outgoing]) -> list[Failure]:
        """Send up to ten messages of `MESSAGE_BYTES` together; see `in_batches`."""
        return failures_of(self._call("send_message_batch", Entries=entries_of(messages)))

    def _call(self, operation: str, **parameters: Any) -> Any:
        [answer] = self._call_together(operation, [parameters])
        if isinstance(answer, SqsError):
            raise answer
        return answer

    def _call_together(self, operation: str, calls: Sequence[dict[str, Any]]) -> list[Any | SqsError]:
        calls = [{"QueueUrl": self.url, **parameters} for parameters in calls]
        answers = _call_together(self._client, operation, calls)
        for answer in answers:
            self._on_call(operation, _result(answer))
        return answers


class MoveTasks:
    """The move tasks of a dead-letter queue; at most one of them is running (SQS API Reference, StartMessageMoveTask).

    Every method raises `SqsError`. Most imitations of SQS do not have these calls.
    """

    def __init__(self, source_arn: str, client: "SQSClient") -> None:
        self._source_arn = source_arn
        self._client = client

    def start(self, destination_arn: str, per_second: int | None) -> str:
        """Start to move all messages, and return the task's handle; `per_second` is `MOVES_PER_SECOND` at most."""
        rate = {} if per_second is None else {"MaxNumberOfMessagesPerSecond": per_second}
        parameters = {"SourceArn": self._source_arn, "DestinationArn": destination_arn, **rate}
        handle: str = _call(self._client, "start_message_move_task", **parameters)["TaskHandle"]
        return handle

    def latest(self) -> MoveTask | None:
        """The task that was started last, whoever did."""
        answer = _call(self._client, "list_message_move_tasks", SourceArn=self._source_arn, MaxResults=1)
        return next(map(_move_task, answer.get("Results") or []), None)

    def cancel(self, handle: str) -> None:
        """Stop; what has been moved is not moved back."""
        _call(self._client, "cancel_message_move_task", TaskHandle=handle)


def _result(answer: Any | SqsError) -> str:
    """What became of a call, as `on_call` is told."""
    if isinstance(answer, SqsError):
        return answer.code
    return "partial" if answer.get("Failed") else "ok"


def _call_together(
    client: "SQSClient | LeanClient", operation: str, calls: Sequence[dict[str, Any]]
) -> list[Any | SqsError]:
    if isinstance(client, LeanClient) and len(calls) > 1:
        answers = client.together(operation, calls)
        failed = (BotoCoreError, ClientError)
        return [sqs_error(operation, answer) if isinstance(answer, failed) else answer for answer in answers]
    answers = []
    for parameters in calls:
        try:
            answers.append(_call(client, operation, **parameters))
        except SqsError as error:
            answers.append(error)
    return answers


def _call(client: "SQSClient | LeanClient", operation: str, **parameters: Any) -> Any:
    try:
        return getattr(client, operation)(**parameters)
    except (BotoCoreError, ClientError) as error:
        raise sqs_error(operation, error) from error


def text_attribute(value: str) -> dict[str, Any]:
    """A string as a message attribute; characters that SQS does not take are replaced, and it is never empty."""
    return {"DataType": "String", "StringValue": _NOT_ALLOWED.sub("\ufffd", value) or "-"}


def with_attempts(message: Received) -> Attributes:
    """The attributes with which it is sent anew as the same message, with its attempts so far.

    Of its own there are as many as leave room for one more.
    """
    own = list(message.attributes.items())[: MESSAGE_ATTRIBUTES - 1]
    return {**dict(own), ATTEMPTS_BEFORE: {"DataType": "Number", "StringValue": str(message.receive_count)}}


def _attempts_before(attributes: Attributes) -> tuple[int, Attributes]:
    """The number, and the attributes without it. What somebody else has made of ours counts for nothing."""
    text = attributes[ATTEMPTS_BEFORE].get("StringValue", "")
    others = {name: value for name, value in attributes.items() if name != ATTEMPTS_BEFORE}
    return int(text) if _is_count(text) else 0, others


def _received(message: Any) -> Received:
    system = message.get("Attributes", {})
    attributes = message.get("MessageAttributes", {})
    before = 0
    if ATTEMPTS_BEFORE in attributes:
        before, attributes = _attempts_before(attributes)
    return Received(
        message["MessageId"],
        message["ReceiptHandle"],
        message["Body"],
        before + int(system.get("ApproximateReceiveCount", 1)),
        attributes,
        int(system.get("SentTimestamp", 0)) / 1000,
    )


def _moved_from(message: Any) -> str:
    return str(message.get("Attributes", {}).get(_MOVED_FROM, "")).rpartition(":")[2]


def _move_task(entry: Any) -> MoveTask:
    return MoveTask(
        handle=entry.get("TaskHandle"),
        status=entry.get("Status", "UNKNOWN"),
        moved=int(entry.get("ApproximateNumberOfMessagesMoved") or 0),
        to_move=entry.get("ApproximateNumberOfMessagesToMove"),
        failure_reason=entry.get("FailureReason"),
    )


def _answered_at(response: Any) -> float:
    """The time of the answer's `Date` header (RFC 9110, 6.6.1 "Date"), else of our own clock."""
    try:
        return parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
    except (KeyError, ValueError):
        return time.time()
