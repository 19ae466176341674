"""Messages as they would have been received."""

from itertools import count

from worker.aws.sqs import Received
from worker.delivery import Delivery

_numbers = count(1)


def received(message_id: str | None = None, body: str = "{}", *, receipt_handle: str | None = None) -> Received:
    """A message, with an id and a receipt handle of its own unless they are given."""
    number = next(_numbers)
    return Received(
        message_id=message_id or f"message-{number}",
        receipt_handle=receipt_handle or f"handle-{number}",
        body=body,
        receive_count=1,
        attributes={},
    )


def delivery() -> Delivery:
    """One that has just been received."""
    return Delivery(received(), received_at=0.0)
