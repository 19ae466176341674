"""Messages as they would have been received."""

from itertools import count

from worker.aws.sqs import Received, text_attribute
from worker.dead_letters.dead_letter import DeadLetter
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


def dead_letter(body: str = "{}", *, id: str = "1", sent_at: float = 1000.0, **attributes: str) -> DeadLetter:  # noqa: A002 (a message's)
    """One with these message attributes, sent so many seconds after the epoch."""
    texts = {name: text_attribute(value) for name, value in attributes.items()}
    return DeadLetter(Received(id, f"handle of {id}", body, 3, texts, sent_at))


def delivery() -> Delivery:
    """One that has just been received."""
    return Delivery(received(), received_at=0.0)
