"""SQS in memory: the calls of boto3's client that the worker makes, with what SQS may do and moto does not.

Like SQS it keeps no order, may give a message twice, and takes no receipt handle whose lease has been given to somebody
else since. The tests in `test_sqs_contract.py` hold for it and for moto alike. Its time is the clock's it is given.
"""

import json
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, EndpointConnectionError
from mypy_boto3_sqs.client import SQSClient

from worker.clock import Clock

BATCH_ENTRIES = 10  # of one call
MESSAGE_BYTES = 1_048_576  # of all messages of a call

Answer = dict[str, Any]


@dataclass(eq=False)
class Message:
    """`handles` are the receipt handles it has had, the newest last; `visible_at` is the clock's time.

    `moved_from` is the ARN of the queue from which it was moved to the dead-letter queue.
    """

    body: str
    attributes: dict[str, Any]
    visible_at: float
    sent_at: float
    moved_from: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    receive_count: int = 0
    handles: list[str] = field(default_factory=list)


@dataclass
class MemoryQueue:
    """One queue; without `max_receive_count` nothing is ever moved to `dead_letters`.

    `most_in_flight` are received and neither visible nor deleted, at most; `peak_in_flight` were so at once.
    """

    url: str
    visibility_timeout: int = 30  # seconds
    max_receive_count: int | None = None
    dead_letters: "MemoryQueue | None" = None
    messages: list[Message] = field(default_factory=list)
    most_in_flight: int = 120_000
    peak_in_flight: int = 0

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def arn(self) -> str:
        return f"arn:aws:sqs:us-east-1:123456789012:{self.name}"


@dataclass
class Fault:
    """What happens to the calls it applies to, `times` of them.

    Before the call takes effect it takes `delay` seconds. `before` is raised instead of its effect, `after` instead of
    its answer; `entries` are the places of those entries of a batch that fail, with `code`.
    """

    operation: str
    times: float = float("inf")
    delay: float = 0.0
    before: Exception | None = None
    after: Exception | None = None
    entries: Callable[[int], bool] | None = None
    code: str = "InternalError"
    url: str | None = None  # of all queues

    def applies(self, operation: str, url: str) -> bool:
        return self.times > 0 and operation in (self.operation, "") and self.url in (None, url)


def refused(code: str, operation: str = "") -> ClientError:
    """SQS's answer that it will not do it."""
    return ClientError({"Error": {"Code": code, "Message": f"{code}, for a test"}}, operation)


def lost(cls: type[BotoCoreError] = ConnectionClosedError) -> BotoCoreError:
    """No answer came."""
    return cls(endpoint_url="memory")


UNREACHABLE = EndpointConnectionError(endpoint_url="memory")


class MemorySqs:
    """All queues, and the calls on them; `client` has those of boto3.

    `calls` are the operations so far, in order. Queues made by `create` belong together: what is received too often
    from the events queue is moved to the other one. `add_source` gives that one another source.
    """

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self._clock = clock
        self._random = random.Random(seed)
        self._changed = clock.condition()  # guards all that follows
        self._queues: dict[str, MemoryQueue] = {}
        self.faults: list[Fault] = []
        self.calls: list[str] = []
        self.duplicated = 0.0  # the share of receives that give a message which somebody else has

    @property
    def client(self) -> SQSClient:
        return cast("SQSClient", self)

    def create(self, *, visibility_timeout: int = 30, max_receive_count: int | None = 5) -> tuple[str, str]:
        """A queue and its dead-letter queue; their URLs."""
        name = uuid.UUID(int=self._random.getrandbits(128))
        letters = MemoryQueue(f"https://sqs.test/123456789012/dead-{name}")
        events = MemoryQueue(
            f"https://sqs.test/123456789012/events-{name}", visibility_timeout, max_receive_count, letters
        )
        self._queues |= {events.url: events, letters.url: letters}
        return events.url, letters.url

    def add_source(
        self, dead_letters_url: str, *, visibility_timeout: int = 30, max_receive_count: int | None = 5
    ) -> str:
        """A queue whose dead letters are those of another; its URL."""
        name = uuid.UUID(int=self._random.getrandbits(128))
        url = f"https://sqs.test/123456789012/activities-{name}"
        letters = self._queues[dead_letters_url]
        self._queues[url] = MemoryQueue(url, visibility_timeout, max_receive_count, letters)
        return url

    def queue(self, url: str) -> MemoryQueue:
        """To look at, or to change, while nobody else is at work."""
        return self._queues[url]

    def fail(self, operation: str = "", **fault: Any) -> Fault:
        """From now on: see `Fault`. Without an operation it is for every call."""
        self.faults.append(Fault(operation, **fault))
        return self.faults[-1]

    # As boto3 has them: the names of parameters and answers are the SQS API Reference's.

    def get_queue_attributes(self, *, QueueUrl: str, **_: Any) -> Answer:  # noqa: N803
        return self._call("get_queue_attributes", QueueUrl, self._describe)

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[Any]) -> Answer:  # noqa: N803
        return self._batch("send_message_batch", QueueUrl, Entries, self._send, self._check_size)

    def delete_message_batch(self, *, QueueUrl: str, Entries: Sequence[Any]) -> Answer:  # noqa: N803
        return self._batch("delete_message_batch", QueueUrl, Entries, self._delete)

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: Sequence[Any]) -> Answer:  # noqa: N803
        return self._batch("change_message_visibility_batch", QueueUrl, Entries, self._change_visibility)

    def receive_message(
        self,
        *,
        QueueUrl: str,  # noqa: N803
        MaxNumberOfMessages: int = 1,  # noqa: N803
        WaitTimeSeconds: int = 0,  # noqa: N803
        VisibilityTimeout: int | None = None,  # noqa: N803
        **_: Any,
    ) -> Answer:
        def receive(queue: MemoryQueue) -> Answer:
            timeout = queue.visibility_timeout if VisibilityTimeout is None else VisibilityTimeout
            if self._in_flight(queue) >= queue.most_in_flight:
                return self._over_limit(WaitTimeSeconds)
            messages = self._wait_for_messages(queue, WaitTimeSeconds, MaxNumberOfMessages)
            given = [self._give(message, timeout) for message in messages]
            queue.peak_in_flight = max(queue.peak_in_flight, self._in_flight(queue))
            return {"Messages": given} if given else {}

        return self._call("receive_message", QueueUrl, receive)

    def _call(self, operation: str, url: str, effect: Callable[[MemoryQueue], Answer]) -> Answer:
        fault = next((fault for fault in self.faults if fault.applies(operation, url)), Fault(operation))
        fault.times -= 1
        self.calls.append(operation)
        self._clock.sleep(fault.delay)
        if fault.before:
            raise fault.before
        with self._changed:
            queue = self._queues.get(url)
            if queue is None:
                raise refused("AWS.SimpleQueueService.NonExistentQueue", operation)
            answer = effect(queue)
        if fault.after:
            raise fault.after
        return answer

    def _batch(
        self,
        operation: str,
        url: str,
        entries: Sequence[Any],
        effect: Callable[[MemoryQueue, Any], Answer],
        check: Callable[[Sequence[Any]], None] = lambda _: None,
    ) -> Answer:
        fault = next((fault for fault in self.faults if fault.applies(operation, url)), None)

        def each(queue: MemoryQueue) -> Answer:
            if not entries:
                raise refused("AWS.SimpleQueueService.EmptyBatchRequest", operation)
            if len(entries) > BATCH_ENTRIES:
                raise refused("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", operation)
            check(entries)
            answer: Answer = {"Successful": [], "Failed": []}
            for place, entry in enumerate(entries):
                if fault and fault.entries and fault.entries(place):
                    failure = {"Code": fault.code, "SenderFault": False, "Message": "for a test"}
                    answer["Failed"].append({"Id": entry["Id"], **failure})
                    continue
                result = effect(queue, entry)
                answer["Failed" if "Code" in result else "Successful"].append({"Id": entry["Id"], **result})
            self._changed.notify_all()
            return answer

        return self._call(operation, url, each)

    @staticmethod
    def _check_size(entries: Sequence[Any]) -> None:
        size = sum(
            len(entry["MessageBody"].encode())
            + sum(
                len(name) + len(value["DataType"]) + len(value.get("StringValue", ""))
                for name, value in entry.get("MessageAttributes", {}).items()
            )
            for entry in entries
        )
        if size > MESSAGE_BYTES:
            raise refused("AWS.SimpleQueueService.BatchRequestTooLong", "send_message_batch")

    def _send(self, queue: MemoryQueue, entry: Any) -> Answer:
        now = self._clock.monotonic()
        visible_at = now + entry.get("DelaySeconds", 0)
        message = Message(entry["MessageBody"], dict(entry.get("MessageAttributes") or {}), visible_at, now)
        queue.messages.append(message)
        return {"MessageId": message.id}

    def _delete(self, queue: MemoryQueue, entry: Any) -> Answer:
        message = self._find(queue, entry["ReceiptHandle"])
        if message is None:
            return {} if entry["ReceiptHandle"].startswith("handle-") else _invalid_handle()
        if message.handles[-1] != entry["ReceiptHandle"]:
            return _expired()
        queue.messages.remove(message)
        return {}

    def _change_visibility(self, queue: MemoryQueue, entry: Any) -> Answer:
        message = self._find(queue, entry["ReceiptHandle"])
        if message is None:
            return _invalid_handle()
        if message.handles[-1] != entry["ReceiptHandle"] or message.visible_at <= self._clock.monotonic():
            return _expired()
        message.visible_at = self._clock.monotonic() + entry["VisibilityTimeout"]
        return {}

    @staticmethod
    def _find(queue: MemoryQueue, receipt_handle: str) -> Message | None:
        return next((message for message in queue.messages if receipt_handle in message.handles), None)

    def _wait_for_messages(self, queue: MemoryQueue, wait_seconds: int, most: int) -> list[Message]:
        until = self._clock.monotonic() + wait_seconds
        while not (visible := self._visible(queue)) and (now := self._clock.monotonic()) < until:
            next_visible = min((message.visible_at for message in queue.messages), default=until)
            self._changed.wait(min(until, next_visible) - now)
        self._random.shuffle(visible)
        if visible and self._random.random() < self.duplicated:
            visible += [message for message in queue.messages if message not in visible][:1]
        return visible[:most]

    def _visible(self, queue: MemoryQueue) -> list[Message]:
        now = self._clock.monotonic()
        visible = [message for message in queue.messages if message.visible_at <= now]
        if queue.dead_letters is None or queue.max_receive_count is None:
            return visible
        for message in [message for message in visible if message.receive_count >= queue.max_receive_count]:
            visible.remove(message)
            queue.messages.remove(message)
            queue.dead_letters.messages.append(message)
            message.moved_from = queue.arn
        return visible

    def _over_limit(self, wait_seconds: int) -> Answer:
        """A short poll is an error, and a long one as if there were nothing (SQS Developer Guide, "Amazon SQS standard
        queue quotas")."""
        if not wait_seconds:
            raise refused("OverLimit", "receive_message")
        self._changed.wait_for(lambda: False, wait_seconds)
        return {}

    def _in_flight(self, queue: MemoryQueue) -> int:
        """What was received and is not visible; what is delayed was not received yet."""
        now = self._clock.monotonic()
        return sum(bool(message.handles) and message.visible_at > now for message in queue.messages)

    def _give(self, message: Message, visibility_timeout: int) -> Answer:
        message.receive_count += 1
        message.visible_at = self._clock.monotonic() + visibility_timeout
        message.handles.append(f"handle-{uuid.UUID(int=self._random.getrandbits(128))}")
        return {
            "MessageId": message.id,
            "ReceiptHandle": message.handles[-1],
            "Body": message.body,
            "Attributes": {
                "ApproximateReceiveCount": str(message.receive_count),
                "SentTimestamp": str(round(1000 * message.sent_at)),
                **({"DeadLetterQueueSourceArn": message.moved_from} if message.moved_from else {}),
            },
            **({"MessageAttributes": message.attributes} if message.attributes else {}),
        }

    def _describe(self, queue: MemoryQueue) -> Answer:
        hidden = sum(message.visible_at > self._clock.monotonic() for message in queue.messages)
        attributes = {
            "QueueArn": queue.arn,
            "VisibilityTimeout": str(queue.visibility_timeout),
            "ApproximateNumberOfMessages": str(len(queue.messages) - hidden),
            "ApproximateNumberOfMessagesNotVisible": str(self._in_flight(queue)),
            "ApproximateNumberOfMessagesDelayed": str(hidden - self._in_flight(queue)),
        }
        if queue.dead_letters and queue.max_receive_count:
            policy = {"deadLetterTargetArn": queue.dead_letters.arn, "maxReceiveCount": queue.max_receive_count}
            attributes["RedrivePolicy"] = json.dumps(policy)
        return {"Attributes": attributes}


def _invalid_handle() -> Answer:
    return {"Code": "ReceiptHandleIsInvalid", "SenderFault": True, "Message": "The input receipt handle is invalid."}


def _expired() -> Answer:
    """As SQS says it of a lease that somebody else has since, or that has run out."""
    return {"Code": "InvalidParameterValue", "SenderFault": True, "Message": "The receipt handle has expired."}
