"""Files of dead letters: whatever stands in one is a dead letter, or a line that is named."""

import json
import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from worker.aws.sqs import Received, text_attribute
from worker.dead_letters.dead_letter import DeadLetter
from worker.dead_letters.files import Record, UnreadableLine, read, to_line


def members(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Objects with members that mean something, and others."""
    names = st.sampled_from(["body", "attributes", "reason", "id", "DataType", "StringValue", "BinaryValue"])
    return st.dictionaries(names | st.text(max_size=3), values, max_size=4)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | members(inner), max_leaves=5)
ATTRIBUTES = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    st.fixed_dictionaries({"DataType": st.just("String"), "StringValue": st.text()})
    | st.fixed_dictionaries({"DataType": st.just("Binary"), "BinaryValue": st.binary()}),
    max_size=3,
)


LINES = (
    members(VALUES | members(members(VALUES))).map(lambda value: json.dumps(value).encode())
    | VALUES.map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    | st.binary(max_size=30).map(lambda line: line.replace(b"\n", b" "))
)


def records_of(content: bytes) -> tuple[list[Record], str]:
    """What is read of a file, and the refusal that ends it."""
    records: list[Record] = []
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            records.extend(read(Path(file.name)))
        except UnreadableLine as refusal:
            return records, str(refusal)
    return records, ""


@given(LINES)
@example(b'{"body": "\\ud800"}')
@example(b'{"body": "x", "attributes": {"a": {"StringValue": "\\udfff"}}}')
@example(b'{"body": "x", "attributes": {"a": {}}}')
@example(b'{"body": "x", "attributes": {"\\ud800": {"DataType": "String", "StringValue": "x"}}}')
def test_any_line_is_a_dead_letter_or_a_refusal_of_one_line(line: bytes) -> None:
    records, refusal = records_of(b"\n" + line)

    assert refusal in ("", "line 2 is not a dead letter of `signup-sync dlq export`")
    assert len(records) == (not refusal and line.strip() != b"")
    for record in records:
        assert record.line == 2
        assert record.message.size >= 0  # it can be sent
        assert len(record.id) == 32


@given(st.lists(st.tuples(st.text(), ATTRIBUTES), max_size=3))
def test_what_was_written_is_read_without_its_failure(letters: list[tuple[str, dict[str, dict[str, object]]]]) -> None:
    content = "".join(
        to_line(DeadLetter(Received("1", "", body, 1, {**attributes, "failure_reason": text_attribute("x")}))) + "\n"
        for body, attributes in letters
    )

    records, refusal = records_of(content.encode())

    assert [(record.message.body, record.message.attributes) for record in records] == letters
    assert refusal == ""
