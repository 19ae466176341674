"""Delivery: one message in the worker's hands, as it was received."""

from signup_sync.events import Event
from worker.aws.sqs import Received
from worker.text import id_for_logs


class Delivery:
    """One message, while we hold it; it belongs to the thread that carries it, and then to the lane that settles it.

    `received_at` is in seconds of the clock. A message that SQS gives us again while we still hold it stays one
    delivery, with the newer receipt handle: an older one may no longer delete it.
    """

    __slots__ = ("event", "message", "received_at")

    def __init__(self, message: Received, received_at: float) -> None:
        self.message = message
        self.received_at = received_at
        self.event: Event | None = None

    def describe(self) -> dict[str, object]:
        """What every log line about a message has."""
        return {
            "event_id": None if self.event is None else id_for_logs(str(self.event.id)),
            "event_type": None if self.event is None else self.event.type,
            "message_id": self.message.message_id,
            "receive_count": self.message.receive_count,
        }
