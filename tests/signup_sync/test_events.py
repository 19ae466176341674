import json
from datetime import UTC, datetime
from pathlib import Path
from time import time_ns
from typing import Any
from uuid import UUID

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signup_sync.events import (
    ActivityCreated,
    Event,
    InvalidEvent,
    UserSignedUp,
    json_schema,
    parse_event,
)
from tests.support.texts import ADDRESSES, REAL_NAMES, UNSEEN, UNWANTED

SCHEMA_FILE = Path(__file__).parents[2] / "signup_sync" / "events.schema.json"

PRIVATE = "ada@example.com"  # what must not be in any detail

ACTIVITY_ID = "0b9f4c1e-6f0e-4c8e-9d55-0a1f2b3c4d5e"
PARENT_ID = "9e7d1c2a-1111-4222-8333-944455556666"

SIGN_UP: dict[str, Any] = {
    "specversion": "1.0",
    "id": "sub-1",
    "source": "/cognito/us-east-1_pool",
    "type": "user.signed_up.v1",
    "time": "2026-01-31T12:00:00Z",
    "data": {"cognito_user_id": "sub-1", "email": PRIVATE, "display_name": "Ada Lovelace", "handle": "ada"},
}
ACTIVITY: dict[str, Any] = {
    "specversion": "1.0",
    "id": ACTIVITY_ID,
    "source": "/backend",
    "type": "activity.created.v1",
    "time": "2026-01-31T13:00:00+01:00",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "data": {
        "cognito_user_id": "sub-1",
        "message": "hello",
        "expires_at": "2026-02-07T12:00:00.123456Z",
        "reply_to_activity_uuid": PARENT_ID,
    },
}
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def sign_up(**attributes: Any) -> str:
    return json.dumps({**SIGN_UP, **attributes})


def sign_up_data(**data: Any) -> str:
    return sign_up(data={**SIGN_UP["data"], **data})


def activity(**attributes: Any) -> str:
    return json.dumps({**ACTIVITY, **attributes})


def activity_data(**data: Any) -> str:
    return activity(data={**ACTIVITY["data"], **data})


def without(event: dict[str, Any], name: str) -> str:
    return json.dumps({key: value for key, value in event.items() if key != name})


def detail_of(body: str, *, unknown_type: bool = False) -> str:
    """Why the body is not an event: one line that holds no value of the event."""
    with pytest.raises(InvalidEvent) as caught:
        parse_event(body)
    detail = str(caught.value)
    assert caught.value.unknown_type is unknown_type
    assert len(detail.splitlines()) == 1
    assert len(detail) < 500
    assert PRIVATE not in detail
    return detail


def test_a_sign_up_is_read() -> None:
    event = parse_event(sign_up())

    assert isinstance(event, UserSignedUp)
    assert (event.id, event.source, event.time, event.traceparent) == (
        "sub-1",
        "/cognito/us-east-1_pool",
        NOON,
        None,
    )
    assert event.data.model_dump() == {**SIGN_UP["data"], "attributes": {}}


def test_an_activity_is_read_with_its_times_in_utc() -> None:
    event = parse_event(activity())

    assert isinstance(event, ActivityCreated)
    assert (event.id, event.time, event.time.tzinfo) == (UUID(ACTIVITY_ID), NOON, UTC)
    assert event.traceparent == ACTIVITY["traceparent"]
    assert event.data.reply_to_activity_uuid == UUID(PARENT_ID)
    assert event.data.expires_at == datetime(2026, 2, 7, 12, 0, 0, 123456, tzinfo=UTC)


def test_what_is_optional_may_be_null_or_missing() -> None:
    for body in (sign_up_data(email=None), sign_up(data=json.loads(without(SIGN_UP["data"], "email")))):
        event = parse_event(body)
        assert isinstance(event, UserSignedUp)
        assert event.data.email is None
    for data in (
        {"cognito_user_id": "a", "message": "m"},
        {"cognito_user_id": "a", "message": "m", "expires_at": None, "reply_to_activity_uuid": None},
    ):
        activity_event = parse_event(activity(data=data))
        assert isinstance(activity_event, ActivityCreated)
        assert (activity_event.data.expires_at, activity_event.data.reply_to_activity_uuid) == (None, None)


def test_attributes_that_are_unknown_are_ignored() -> None:
    body = sign_up(subject="new", data={**SIGN_UP["data"], "locale": "en", "nested": {"type": 1}})

    assert parse_event(body) == parse_event(sign_up())


@pytest.mark.parametrize(
    "body", ["", " ", "nope", "{", "\ufeff" + sign_up(), sign_up() + "}", f'{{"email": "{PRIVATE}", }}', "\x00"]
)
def test_what_is_not_json_is_invalid(body: str) -> None:
    assert detail_of(body).startswith("Invalid JSON: ")


@pytest.mark.parametrize("body", ["null", "3", '"user.signed_up.v1"', "[]", f"[{sign_up()}]"])
def test_json_that_is_not_an_object_is_invalid(body: str) -> None:
    assert "object" in detail_of(body)


@pytest.mark.parametrize("version", ["0.3", "1.1", "1", 1.0, None, PRIVATE])
def test_another_specversion_is_invalid(version: object) -> None:
    assert detail_of(sign_up(specversion=version)).startswith("specversion: ")


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "time", "data"])
@pytest.mark.parametrize("event", [SIGN_UP, ACTIVITY])
def test_a_field_that_is_missing_is_named(event: dict[str, Any], name: str) -> None:
    assert detail_of(without(event, name)) == f"{name}: Field required"


@pytest.mark.parametrize("name", ["cognito_user_id", "display_name", "handle"])
def test_a_field_of_the_data_that_is_missing_is_named(name: str) -> None:
    body = sign_up(data=json.loads(without(SIGN_UP["data"], name)))

    assert detail_of(body) == f"data.{name}: Field required"


def test_everything_that_is_wrong_is_said_at_once() -> None:
    assert detail_of(sign_up(time=None, data={**SIGN_UP["data"], "handle": "a b", "display_name": ""})) == (
        "time: should be a date and time as in RFC 3339, for example 2026-01-31T12:00:00Z; "
        "data.display_name: String should have at least 1 character; "
        f"data.handle: {NOT_A_HANDLE}"
    )


@pytest.mark.parametrize("type_", ["user.signed_up.v2", "user.signed_up", "", "USER.SIGNED_UP.V1", PRIVATE])
def test_an_unknown_type_or_version_is_not_the_same_as_an_invalid_event(type_: str) -> None:
    assert detail_of(sign_up(type=type_), unknown_type=True) == (
        "type: not one of user.signed_up.v1, user.updated.v1, user.deleted.v1, activity.created.v1"
    )


@pytest.mark.parametrize("type_", [1, None, ["user.signed_up.v1"], {"v": 1}])
def test_a_type_that_is_not_text_is_invalid(type_: object) -> None:
    detail_of(sign_up(type=type_))


NOT_PLAIN = "must not contain control or format characters"
NOT_A_NAME = "must be visible, without control or format characters"
NOT_A_HANDLE = "must be visible, without white space, control or format characters"
NOT_A_MESSAGE = "must not contain control characters but tabs and line ends, nor override the direction of text"


@pytest.mark.parametrize("text", UNWANTED)
def test_a_name_or_id_with_control_or_format_characters_is_invalid(text: str) -> None:
    wrong = f"{PRIVATE}{text}"

    assert detail_of(sign_up(id=wrong)) == f"id: {NOT_PLAIN}"
    assert detail_of(sign_up(source=wrong)) == f"source: {NOT_PLAIN}"
    assert detail_of(sign_up_data(cognito_user_id=wrong)) == f"data.cognito_user_id: {NOT_PLAIN}"
    assert detail_of(activity_data(cognito_user_id=wrong)) == f"data.cognito_user_id: {NOT_PLAIN}"
    assert detail_of(sign_up_data(email=wrong)) == f"data.email: {NOT_PLAIN}"
    assert detail_of(sign_up_data(display_name=f"Ada{text}")) == f"data.display_name: {NOT_A_NAME}"
    assert detail_of(sign_up_data(handle=f"a{text}da")) == f"data.handle: {NOT_A_HANDLE}"


@pytest.mark.parametrize("text", ["\x00", "\x1b[2J", "\x08", "\x85", "\x9b", "\u202d", "\u202e"])
def test_a_message_with_controls_or_overrides_is_invalid(text: str) -> None:
    assert detail_of(activity_data(message=f"{PRIVATE}\n{text}")) == f"data.message: {NOT_A_MESSAGE}"


@pytest.mark.parametrize(
    "message",
    ["two\r\nlines\tand a tab", "\u2067right\u2069", "a\u200cb", "🏴\U000e0067\U000e0062\U000e007f", " "],
)
def test_a_message_may_have_lines_joiners_and_directions(message: str) -> None:
    event = parse_event(activity_data(message=message))

    assert isinstance(event, ActivityCreated)
    assert event.data.message == message


@pytest.mark.parametrize("space", [" ", "\t", "\n", "\u00a0", "\u2028", "\u3000", "\x00"])
def test_a_handle_with_white_space_is_invalid(space: str) -> None:
    assert detail_of(sign_up_data(handle=f"ada{space}")) == f"data.handle: {NOT_A_HANDLE}"


@pytest.mark.parametrize("name", UNSEEN)
def test_a_name_that_cannot_be_seen_is_invalid(name: str) -> None:
    assert detail_of(sign_up_data(display_name=name)) == f"data.display_name: {NOT_A_NAME}"
    assert detail_of(sign_up_data(handle=name)) == f"data.handle: {NOT_A_HANDLE}"


@pytest.mark.parametrize("name", REAL_NAMES)
def test_a_real_name_is_valid(name: str) -> None:
    handle = "-".join(name.split())
    event = parse_event(sign_up_data(display_name=name, handle=handle))

    assert isinstance(event, UserSignedUp)
    assert (event.data.display_name, event.data.handle) == (name, handle)


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_is_no_name(name: str) -> None:
    handle = "-".join(name.split())

    assert detail_of(sign_up_data(display_name=name)) == (
        "data.display_name: must not contain an e-mail address, as it is public"
    )
    assert detail_of(sign_up_data(handle=handle)) == (
        "data.handle: must not contain an e-mail address, as it is public"
    )


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (sign_up_data(cognito_user_id=""), "data.cognito_user_id"),
        (sign_up_data(cognito_user_id="x" * 129), "data.cognito_user_id"),
        (sign_up_data(display_name="x" * 201), "data.display_name"),
        (sign_up_data(handle=""), "data.handle"),
        (sign_up_data(handle="x" * 65), "data.handle"),
        (activity_data(message=""), "data.message"),
        (activity_data(message="x" * 1025), "data.message"),
    ],
)
def test_text_that_is_too_short_or_too_long_is_invalid(body: str, name: str) -> None:
    assert detail_of(body).startswith(f"{name}: String should have at ")


def test_the_longest_text_that_is_allowed_is_counted_in_characters() -> None:
    event = parse_event(sign_up_data(cognito_user_id="🦊" * 128, display_name="🦊" * 200, handle="🦊" * 64))
    assert isinstance(event, UserSignedUp)
    assert len(event.data.handle) == 64
    assert isinstance(parse_event(activity_data(message="🦊" * 1024)), ActivityCreated)


def test_a_body_as_large_as_sqs_allows_is_invalid_in_one_line() -> None:
    body = activity_data(message="x" * (1_048_576 - len(activity_data(message=""))))

    assert len(body) == 1_048_576
    assert detail_of(body) == "data.message: String should have at most 1024 characters"


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        sign_up()[:-1] + ', "extra": ' + "[" * 5000 + "]" * 5000 + "}",
    ],
)
def test_deep_nesting_is_invalid_and_not_a_crash(body: str) -> None:
    assert detail_of(body).startswith("Invalid JSON: recursion limit exceeded")


@pytest.mark.parametrize(
    "body",
    [
        sign_up_data(handle="a\ud800"),
        sign_up_data(display_name="\udfff"),
        sign_up(type="\ud800"),
        json.dumps(SIGN_UP | {"source": "\ud800"}, ensure_ascii=False),  # not even escaped
    ],
)
def test_a_lone_surrogate_is_invalid(body: str) -> None:
    detail_of(body)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (sign_up(id=7), "id"),
        (sign_up(source=7), "source"),
        (sign_up(time=1769860800), "time"),
        (sign_up(traceparent=7), "traceparent"),
        (sign_up_data(handle=7), "data.handle"),
        (sign_up_data(email=True), "data.email"),
        (activity(id=7), "id"),
        (activity_data(message=7), "data.message"),
        (activity_data(expires_at=1769860800), "data.expires_at"),
        (activity_data(reply_to_activity_uuid=7), "data.reply_to_activity_uuid"),
        (sign_up(data=[]), "data"),
        (sign_up(data=sign_up()), "data"),
    ],
)
def test_a_value_of_another_kind_is_invalid_and_not_converted(body: str, name: str) -> None:
    assert detail_of(body).startswith(f"{name}: ")


@pytest.mark.parametrize("id_", ["", "1", PRIVATE, ACTIVITY_ID[:-1], ACTIVITY_ID + "0"])
def test_an_activity_s_id_is_a_uuid(id_: str) -> None:
    assert detail_of(activity(id=id_)) == "id: Input should be a valid UUID"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-01-31t12:00:00z", NOON),
        ("2026-01-31T12:00:00-00:00", NOON),
        ("2026-01-31T14:30:00+02:30", NOON),
        ("2026-01-31T12:00:00.0000009Z", NOON),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("0001-01-01T01:00:00+01:00", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("9999-12-31T22:59:59-01:00", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times_are_those_of_rfc_3339(time: str, expected: datetime) -> None:
    assert parse_event(sign_up(time=time)).time == expected


@pytest.mark.parametrize(
    "time",
    [
        "",
        "2026-01-31",
        "12:00:00Z",
        "2026-01-31T12:00:00",  # no zone
        "2026-01-31T12:00Z",
        "2026-02-30T12:00:00Z",
        "2026-01-31T25:00:00Z",
        "2026-01-31T12:00:00+25:00",
        "20260131T120000Z",
        "1769860800",
        "٢٠٢٦-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z\n",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",  # the year 0 in UTC
        "9999-12-31T23:59:59-01:00",  # the year 10000 in UTC
        PRIVATE,
    ],
)
def test_a_time_that_is_not_one_is_invalid(time: str) -> None:
    assert detail_of(sign_up(time=time)).startswith("time: ")
    assert detail_of(activity_data(expires_at=time)).startswith("data.expires_at: ")


def test_an_activity_that_replies_to_itself_is_invalid() -> None:
    assert detail_of(activity_data(reply_to_activity_uuid=ACTIVITY_ID.upper())) == (
        "an activity cannot reply to itself"
    )


anything = st.text(st.characters(exclude_categories=()))  # lone surrogates, too
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), anything)
json_values = st.one_of(scalars, st.lists(scalars, max_size=2), st.dictionaries(st.sampled_from(["id", "a"]), scalars))


@given(
    base=st.sampled_from([SIGN_UP, ACTIVITY]),
    attributes=st.dictionaries(st.sampled_from(list(ACTIVITY)), json_values, max_size=2),
    data=st.dictionaries(st.sampled_from([*SIGN_UP["data"], *ACTIVITY["data"]]), json_values, max_size=3),
)
def test_whatever_a_publisher_sends_is_an_event_or_invalid(
    base: dict[str, Any], attributes: dict[str, Any], data: dict[str, Any]
) -> None:
    outcome = outcome_of(json.dumps({**base, "data": {**base["data"], **data}, **attributes}))

    if isinstance(outcome, InvalidEvent):
        assert len(str(outcome).splitlines()) == 1
    else:
        assert parse_event(outcome.model_dump_json()) == outcome


@given(anything)
def test_any_text_at_all_is_invalid_and_not_a_crash(body: str) -> None:
    assert isinstance(outcome_of(body), InvalidEvent)


@given(st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(anything, inner), max_leaves=5))
def test_any_json_at_all_is_invalid_and_not_a_crash(value: object) -> None:
    assert isinstance(outcome_of(json.dumps(value)), InvalidEvent)


def text(max_size: int, *, spaces: bool = True, without: str = "") -> st.SearchStrategy[str]:
    """Without the categories that the contract refuses."""
    characters = st.characters(
        codec="utf-8",
        exclude_categories=("Cc", "Cf", "Cn", "Zl", "Zp") if spaces else ("Cc", "Cf", "Cn", "Z"),
        exclude_characters=without,
    )
    return st.text(characters, min_size=1, max_size=max_size)


AT = "@\ufe6b\uff20"

days = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 (Hypothesis adds the zone)
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.timezones(),
)
activities = st.builds(
    ActivityCreated.new,
    author=text(128),
    message=text(1024),
    source=text(10),
    expires_at=st.none() | days,
    reply_to=st.none() | st.uuids(),
    time=days,
    traceparent=st.none() | text(10),
)
sign_ups = st.builds(
    UserSignedUp.new,
    cognito_user_id=text(128),
    handle=st.builds("a{}".format, text(63, spaces=False, without=AT)),
    display_name=st.builds("a{}".format, text(199, without=AT)),
    source=text(10),
    email=st.none() | text(300),
    time=days,
)


@given(activities | sign_ups)
def test_an_event_is_the_same_when_it_was_written_and_read(event: UserSignedUp | ActivityCreated) -> None:
    assert parse_event(event.model_dump_json()) == event


def test_an_activity_has_an_id_in_order_of_the_time_at_which_it_is_made_whatever_the_events_time_is() -> None:
    began = time_ns() // 1_000_000
    event = ActivityCreated.new(author="ada", message="hello", source="/backend", time=datetime(2020, 1, 1, tzinfo=UTC))

    assert event.id.version == 7
    assert began <= event.id.int >> 80 <= time_ns() // 1_000_000


def outcome_of(body: str) -> Event | InvalidEvent:
    try:
        return parse_event(body)
    except InvalidEvent as error:
        return error


def test_the_committed_schema_is_that_of_the_models() -> None:
    committed = SCHEMA_FILE.read_text(encoding="utf-8")

    assert json.loads(committed) == json_schema(), "run: signup-sync schema > signup_sync/events.schema.json"


def test_the_schema_is_a_valid_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


validator = jsonschema.Draft202012Validator(
    json.loads(SCHEMA_FILE.read_text(encoding="utf-8")), format_checker=jsonschema.FormatChecker()
)


@pytest.mark.parametrize(
    "body",
    [
        sign_up(),
        activity(),
        sign_up_data(email=None),
        sign_up(subject="extra"),
        activity_data(expires_at=None),
        *(sign_up_data(display_name=name) for name in REAL_NAMES),
    ],
)
def test_what_the_models_take_the_schema_takes(body: str) -> None:
    parse_event(body)
    validator.validate(json.loads(body))


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        sign_up(specversion="0.3"),
        without(SIGN_UP, "time"),
        sign_up(type="user.signed_up.v2"),
        sign_up(id="a\x00"),
        sign_up_data(handle="a b"),
        sign_up_data(handle="\U000e0041da"),
        sign_up_data(display_name="\u3164"),
        sign_up_data(display_name="a\u202eda"),
        activity_data(message="\x1b[2J"),
        sign_up_data(display_name="x" * 201),
        activity(id="1"),
        activity_data(message=7),
        activity_data(message="x" * 1025),
    ],
)
def test_what_the_schema_refuses_the_models_refuse(body: str) -> None:
    assert not validator.is_valid(json.loads(body))
    with pytest.raises(InvalidEvent):
        parse_event(body)
