from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from signup_sync.sqs import BATCH_ENTRIES, MESSAGE_BYTES, Outgoing, in_batches

# Bodies are made of few pieces, as a mebibyte of anything would take long to make.
pieces = st.builds(
    lambda piece, times: piece * times,
    st.sampled_from(["x", "é", "🦊", '"\\']),
    st.sampled_from([0, 1, 100, MESSAGE_BYTES // 9, MESSAGE_BYTES // 4, MESSAGE_BYTES]),
)
attributes = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=5),
    st.builds(lambda text: {"DataType": "String", "StringValue": text}, pieces)
    | st.builds(lambda data: {"DataType": "Binary", "BinaryValue": data}, st.binary(max_size=100)),
    max_size=2,
)
messages = st.lists(st.builds(Outgoing, pieces, attributes), max_size=15) | st.lists(
    st.builds(Outgoing, st.sampled_from(["", "x"])), max_size=45
)


def size(message: Outgoing) -> int:
    """As the SQS Developer Guide counts it: the body, and name, type and value of each attribute, in UTF-8."""
    return len(message.body.encode()) + sum(map(attribute_size, message.attributes.items()))


def attribute_size(attribute: tuple[str, dict[str, Any]]) -> int:
    name, content = attribute
    values = (value if isinstance(value, bytes) else str(value).encode() for value in content.values())
    return len(name.encode()) + sum(map(len, values))


def together(messages: Sequence[Outgoing], batch: list[int]) -> int:
    return sum(size(messages[index]) for index in batch)


@given(messages)
def test_every_message_is_in_one_batch_in_order_and_each_batch_is_one_that_sqs_takes(messages: list[Outgoing]) -> None:
    batches = list(in_batches(messages))

    assert [index for batch in batches for index in batch] == list(range(len(messages)))
    for batch in batches:
        assert 1 <= len(batch) <= BATCH_ENTRIES
        assert together(messages, batch) <= MESSAGE_BYTES or len(batch) == 1
    for batch, (first, *_) in pairwise(batches):  # none could have held the next message, too
        assert len(batch) == BATCH_ENTRIES or together(messages, [*batch, first]) > MESSAGE_BYTES
