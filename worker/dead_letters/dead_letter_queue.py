"""Dead-letter queue: of each message it says from which source queue it came, whoever moved it.

The worker writes that into an attribute (`worker.failure.SOURCE_QUEUE`). Of what SQS itself moved SQS says it, and what
such a message says of itself counts for nothing: its publisher wrote it.
"""

from typing import TYPE_CHECKING

from signup_sync.sqs import BATCH_ENTRIES
from worker.aws.sqs import Queue, Received
from worker.failure import SOURCE_QUEUE, source_attributes

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient


class DeadLetterQueue(Queue):
    """Of the queue of `events_url`, and perhaps of an activities queue.

    Both are of its own account and region (SQS Developer Guide, "Using dead-letter queues in Amazon SQS"), so that a
    name is one queue's. What came from a queue of any other name than that of the events is none of the events queue's.
    """

    def __init__(self, url: str, client: "SQSClient", events_url: str) -> None:
        super().__init__(url, client)
        self._events_name = events_url.rpartition("/")[2]

    def receive(self, *, wait_seconds: int, visibility_timeout: int, most: int = BATCH_ENTRIES) -> list[Received]:
        messages = super().receive(wait_seconds=wait_seconds, visibility_timeout=visibility_timeout, most=most)
        return [self._with_source(message) if message.moved_from else message for message in messages]

    def source_names(self) -> set[str]:
        """The names of the queues whose redrive policies lead here, a thousand at most.

        Needs `sqs:ListDeadLetterSourceQueues` (SQS API Reference, ListDeadLetterSourceQueues).
        """
        answer = self._call("list_dead_letter_source_queues")
        return {url.rpartition("/")[2] for url in answer.get("queueUrls") or []}

    def _with_source(self, message: Received) -> Received:
        source = source_attributes("events" if message.moved_from == self._events_name else "activities")
        own = {name: value for name, value in message.attributes.items() if name != SOURCE_QUEUE}
        return message._replace(attributes=own | source)
