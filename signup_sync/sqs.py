"""SQS, as far as sending goes: what a publisher needs of it, and what the worker builds upon.

Limits are those of the SQS Developer Guide, "Amazon SQS message quotas".
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from signup_sync.aws_errors import AwsError, explain, refuse_cut_answers, short_code
from signup_sync.backoff import exponential

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

BATCH_ENTRIES = 10  # messages in one call
MESSAGE_BYTES = 1_048_576  # a message with its attributes, and all messages of one call together
MAX_DELAY = 900  # seconds, of one message (SQS Developer Guide, "Amazon SQS message timers")
CONNECT_TIMEOUT = 3.0  # seconds
READ_TIMEOUT = 10.0  # seconds, above the time that a receive waits by itself
CALL_ATTEMPTS = 3  # of one call, with botocore's backoff in between
ENTRY_ATTEMPTS = 5  # of one message that fails in calls that succeed
FIRST_RETRY = 0.1  # seconds
MAX_RETRY = 2.0  # seconds

Attributes = dict[str, dict[str, Any]]
"""Message attributes as the API has them: by name, each with its `DataType` and its value."""


class SqsError(AwsError):
    """A call to SQS failed, whole."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An entry of a batch call that failed: its place in the batch, and AWS's word and text for why."""

    index: int
    code: str
    sender_fault: bool
    message: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send; nobody receives it before `delay_seconds` are over, of which there are `MAX_DELAY` at most."""

    body: str
    attributes: Attributes = field(default_factory=dict)
    delay_seconds: int = 0

    @property
    def size(self) -> int:
        """Bytes, as SQS counts them: the body, and the name, type and value of each attribute."""
        return len(self.body.encode()) + sum(map(_attribute_size, self.attributes.items()))


def connect(*, wait_seconds: int = 0, connections: int = 10, attempts: int = CALL_ATTEMPTS) -> "SQSClient":
    """A boto3 client of the region, the endpoint and the credentials that the standard AWS settings name.

    `wait_seconds` is how long its receives will wait, `connections` how many calls may be under way at once. The region
    is AWS_REGION, as for the other SDKs, else what boto3 finds. Raises `SqsError` when the settings are not enough.
    """
    import boto3  # noqa: PLC0415 (it takes a tenth of a second, which no --help should wait for)
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT + wait_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=connections,
        tcp_keepalive=True,
    )
    try:
        client = boto3.client("sqs", config=config, region_name=os.environ.get("AWS_REGION") or None)
    except (BotoCoreError, ValueError) as error:
        raise sqs_error("connect", error) from error
    refuse_cut_answers(client)
    return client


def send(client: "SQSClient", queue_url: str, messages: Sequence[Outgoing]) -> list[Failure]:
    """Send up to ten messages of `MESSAGE_BYTES` together (see `in_batches`), and return those that failed.

    Raises `SqsError` when the call failed whole.
    """
    try:
        answer: Any = client.send_message_batch(QueueUrl=queue_url, Entries=entries_of(messages))
    except (BotoCoreError, ClientError) as error:
        raise sqs_error("send_message_batch", error) from error
    return failures_of(answer)


def send_until_taken(
    send_batch: Callable[[Sequence[Outgoing]], list[Failure]], messages: Sequence[Outgoing]
) -> Iterator[dict[int, Failure | None]]:
    """Send messages of one call by `send_batch`, and with backoff again what failed in part.

    Gives, after each attempt, what became of some of them for good, by their places: None for those that were taken.
    Raises what `send_batch` raises; then nobody knows of those that were not given.
    """
    left = list(range(len(messages)))
    delays = exponential(FIRST_RETRY, MAX_RETRY)
    for attempt in range(1, ENTRY_ATTEMPTS + 1):
        failures = {left[failure.index]: failure for failure in send_batch([messages[index] for index in left])}
        final = {i: failure for i, failure in failures.items() if failure.sender_fault or attempt == ENTRY_ATTEMPTS}
        yield {**{index: None for index in left if index not in failures}, **final}
        left = [index for index in failures if index not in final]
        if not left:
            return
        time.sleep(next(delays))


def entries_of(messages: Sequence[Outgoing]) -> Any:
    """The entries of a SendMessageBatch, each by its place."""
    return [
        {
            "Id": str(index),
            "MessageBody": message.body,
            "MessageAttributes": message.attributes,
            **({"DelaySeconds": message.delay_seconds} if message.delay_seconds else {}),
        }
        for index, message in enumerate(messages)
    ]


def in_batches(messages: Sequence[Outgoing]) -> Iterator[list[int]]:
    """Split into batches that SQS takes in one call; gives the indices of each batch's messages."""
    batch: list[int] = []
    size = 0
    for index, message in enumerate(messages):
        if batch and (len(batch) == BATCH_ENTRIES or size + message.size > MESSAGE_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(index)
        size += message.size
    if batch:
        yield batch


def failures_of(answer: Any) -> list[Failure]:
    """What failed of a batch call that succeeded."""
    return [
        Failure(
            int(entry["Id"]),
            short_code(entry.get("Code", "Unknown")),
            bool(entry.get("SenderFault")),
            entry.get("Message", ""),
        )
        for entry in answer.get("Failed") or []
    ]


def sqs_error(operation: str, error: Exception) -> SqsError:
    """Of an exception of botocore, in words for a person."""
    # Batch calls need the permission of the single call.
    action = "sqs:" + operation.removesuffix("_batch").title().replace("_", "")
    code, text = explain(error, action=action, endpoint_variable="AWS_ENDPOINT_URL_SQS")
    return SqsError(operation, code, text)


def _attribute_size(attribute: tuple[str, dict[str, Any]]) -> int:
    name, content = attribute
    value = content.get("StringValue", "").encode() or content.get("BinaryValue", b"")
    return len(name.encode()) + len(content["DataType"]) + len(value)
