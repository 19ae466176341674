"""`signup-sync publish file`: whatever stands in a file is an event, or a line that is named."""

import json
import tempfile

from hypothesis import example, given
from hypothesis import strategies as st

from signup_sync.events import InvalidEvent, parse_event
from tests.support.events import activity, sign_up
from tests.support.invoke import invoke

EVENTS = st.sampled_from(
    [sign_up("ada"), activity("ada", id="5f0c6a4e-0c1d-4a52-9d0e-6f4f1f0f2a11"), sign_up("bob", handle="é")]
).map(str.encode)
NOTHING = "no event"  # so that nothing is sent


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An event of which one part is another."""
    event = draw(EVENTS)
    start = draw(st.integers(0, len(event)))
    end = draw(st.integers(start, min(len(event), start + 20)))
    return (
        event[:start] + draw(st.binary(max_size=3) | st.sampled_from([b"null", b"{}", b"[", b"\\ud800"])) + event[end:]
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "id", "data"]), inner),
    max_leaves=5,
).map(lambda value: json.dumps(value).encode())
LINES = st.lists(EVENTS | damaged() | JSON | st.binary(max_size=20) | st.just(b" \t"), max_size=4)


def is_event(line: bytes) -> bool:
    try:
        parse_event(line.decode())
    except (InvalidEvent, UnicodeDecodeError):
        return False
    return True


@given(LINES)
@example([b'{"type": "user.signed_up.v1", "id": "\\ud800"}', b"\xff", b"[" * 100_000, b"9" * 5000])
def test_any_line_is_an_event_or_a_refusal_of_one_line(lines: list[bytes]) -> None:
    lines = [*(line.replace(b"\n", b"") for line in lines), NOTHING.encode()]
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join(lines))
        file.flush()
        done = invoke("publish", "file", file.name, environment={"QUEUE_URL": "http://127.0.0.1:1/1/nobodys"})

    given_lines = [number for number, line in enumerate(lines, start=1) if line.strip()]
    refused = [number for number in given_lines if not is_event(lines[number - 1])]
    *named, last = done.stderr.removesuffix("\n").split("\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.partition(": ")[0] for line in named] == [f"line {number}" for number in refused]
    assert last == f"signup-sync: nothing was published, as {len(refused)} of {len(given_lines)} events are invalid"
