"""A local SQS, and the pair of queues that each test has of it."""

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

import boto3
from botocore.config import Config
from mypy_boto3_sqs.client import SQSClient
from mypy_boto3_sqs.literals import QueueAttributeNameType
from mypy_boto3_sqs.type_defs import MessageTypeDef

T = TypeVar("T")

REGION = "us-east-1"

BATCH_SIZE = 10  # entries, the most that SQS takes in one request
READING_TIME = 60  # seconds for which a dead letter is out of sight while a test reads it

LONGEST_POLL = "longest-poll"
"""A queue's tag, for `sqs_server_process`: the seconds after which a long poll ends, however long it was to be."""

_DLQ_TAGS = {LONGEST_POLL: "0.1"}  # whoever looks at all dead letters polls until nothing comes

_ROOT = Path(__file__).parents[2]


def aws_environment(endpoint_url: str) -> dict[str, str]:
    """The environment of a child process that is to find SQS at `endpoint_url`, and no other AWS, anywhere."""
    return {
        "AWS_ENDPOINT_URL_SQS": endpoint_url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        # Not the profile of whoever runs the tests.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def sqs_client(endpoint_url: str, config: Config | None = None) -> SQSClient:
    """A client of the SQS at `endpoint_url`; whoever asks for it closes it."""
    return boto3.client(
        "sqs",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=config,
    )


class SqsServer:
    """moto's SQS in a process of its own, so that it shares no interpreter lock with what is tested.

    It differs from SQS in ways a test has to know. It keeps order and answers short polls in full. It deletes a
    message, or changes its visibility, by any receipt handle the message ever had, where SQS may refuse one whose
    visibility timeout has passed. A message goes to the dead-letter queue only when it would be received once too
    often. Deleting a message costs time in proportion to the queue's length: queues of some hundreds are fine,
    thousands are slow.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def endpoint_url(self) -> str:
        """For clients of the running server."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start with no queues on a free port, and return when requests are accepted."""
        # Where moto's tracebacks go; they matter only if it does not start.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by `stop`)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.sqs_server_process"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline()
        if not port:
            self._errors.seek(0)
            errors = self._errors.read()
            self.stop()
            raise RuntimeError(f"the SQS server did not start:\n{errors}")
        self._port = int(port)

    def stop(self) -> None:
        """Stop, along with all queues. May be called twice."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        if self._errors is not None:
            self._errors.close()
            self._errors = None


@dataclass(frozen=True)
class DeadLetter:
    """A message in the dead-letter queue."""

    message_id: str
    body: str
    attributes: dict[str, str]  # message attributes, without their types
    receive_count: int
    """How often it was received, this reading included. A message that SQS moved by itself starts with the receives
    it had in the events queue; one that the worker sent starts from nothing."""


@dataclass
class Queues:
    """An events queue and its dead-letter queue, which may be an activities queue's, too."""

    endpoint_url: str
    events_url: str
    dlq_url: str
    client: SQSClient = field(repr=False)
    activities_url: str | None = None

    @property
    def settings(self) -> dict[str, str]:
        """The settings that name them."""
        activities = {"ACTIVITIES_QUEUE_URL": self.activities_url} if self.activities_url else {}
        return {"QUEUE_URL": self.events_url, "DLQ_URL": self.dlq_url, **activities}

    def close(self) -> None:
        """Close the client; the queues stay."""
        self.client.close()

    def send(self, *bodies: str, to: str | None = None) -> list[str]:
        """Put messages into the events queue, or that of another URL, in order, and return their ids."""
        message_ids: list[str] = []
        for batch in _batches(bodies):
            answer = self.client.send_message_batch(
                QueueUrl=to or self.events_url,
                Entries=[{"Id": str(position), "MessageBody": body} for position, body in enumerate(batch)],
            )
            assert not answer.get("Failed"), answer["Failed"]
            ids = {sent["Id"]: sent["MessageId"] for sent in answer["Successful"]}
            message_ids += [ids[str(position)] for position in range(len(batch))]
        return message_ids

    def counts(self) -> tuple[int, int, int]:
        """How many messages of the events queue are visible, in flight, and delayed."""
        return self._counts(self.events_url)

    def dead_letter_count(self) -> int:
        """How many messages the dead-letter queue holds, in flight or not."""
        return sum(self._counts(self.dlq_url))

    def dead_letters(self) -> list[DeadLetter]:
        """All visible messages of the dead-letter queue, which are left there.

        Like every look at an SQS queue this is a receive, and counts as one.
        """
        return [_dead_letter(message) for message in self._look(self.dlq_url)]

    def receive_counts(self) -> dict[str, int]:
        """How often each visible message of the events queue has been received, this look included, by its id."""
        messages = self._look(self.events_url)
        return {m["MessageId"]: int(m["Attributes"]["ApproximateReceiveCount"]) for m in messages}

    def _look(self, queue_url: str) -> list[MessageTypeDef]:
        """Receive all visible messages, and let them go."""
        messages = list(self._receive_all(queue_url))
        for batch in _batches(messages):
            self.client.change_message_visibility_batch(
                QueueUrl=queue_url,
                Entries=[
                    {"Id": str(position), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
                    for position, message in enumerate(batch)
                ],
            )
        return messages

    def _receive_all(self, queue_url: str) -> Iterator[MessageTypeDef]:
        while messages := self.client.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=BATCH_SIZE,
            VisibilityTimeout=READING_TIME,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages"):
            yield from messages

    def _counts(self, queue_url: str) -> tuple[int, int, int]:
        attributes = self.client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
        return (
            int(attributes["ApproximateNumberOfMessages"]),
            int(attributes["ApproximateNumberOfMessagesNotVisible"]),
            int(attributes["ApproximateNumberOfMessagesDelayed"]),
        )


def create_queues(
    endpoint_url: str, *, visibility_timeout: int = 30, max_receive_count: int | None = 5, activities: bool = False
) -> Queues:
    """Make a pair of queues with names of their own, and an activities queue if it is wanted.

    `visibility_timeout` (seconds) is the events queue's. After `max_receive_count` receives SQS itself moves a message
    to the dead-letter queue; with None it never does.
    """
    client = sqs_client(endpoint_url)
    name = f"events-{uuid.uuid4().hex}"
    dlq_url = client.create_queue(QueueName=f"{name}-dlq", tags=_DLQ_TAGS)["QueueUrl"]
    attributes = {"VisibilityTimeout": str(visibility_timeout), **_redrive(dlq_url, max_receive_count)}
    names = [name, *([f"{name}-activities"] if activities else [])]
    urls = [client.create_queue(QueueName=n, Attributes=attributes)["QueueUrl"] for n in names]
    return Queues(endpoint_url, urls[0], dlq_url, client, urls[1] if activities else None)


def _redrive(dlq_url: str, max_receive_count: int | None) -> dict[QueueAttributeNameType, str]:
    if max_receive_count is None:
        return {}
    # A queue's URL ends with the account and the name, of which its ARN is made, too (Amazon SQS Developer Guide,
    # "Queue and message identifiers").
    *_, account, name = dlq_url.split("/")
    policy = {"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{account}:{name}", "maxReceiveCount": max_receive_count}
    return {"RedrivePolicy": json.dumps(policy)}


def _dead_letter(message: MessageTypeDef) -> DeadLetter:
    attributes = message.get("MessageAttributes", {})
    return DeadLetter(
        message_id=message["MessageId"],
        body=message["Body"],
        attributes={name: attribute["StringValue"] for name, attribute in attributes.items()},
        receive_count=int(message["Attributes"]["ApproximateReceiveCount"]),
    )


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in tens."""
    for start in range(0, len(items), BATCH_SIZE):
        yield items[start : start + BATCH_SIZE]
