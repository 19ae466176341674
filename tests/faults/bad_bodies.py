"""Message bodies of the worst kind: written by hand, and mutated from those and from good ones, the same for a seed."""

import json
import random
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.events import activity, deleted, sign_up, updated

MARKER = "s3cret"
"""Stands in the texts of every body here; no error may quote it."""

SQL = [
    "'; DROP TABLE users; --",
    "$1",
    "%s",
    "%(handle)s",
    "\\'; SELECT pg_sleep(10); --",
    "{}",
    "$$",
    '"users"',
    "E'\\\\x00'",
    "/*",
]
CONTROL = ["\0", "\x01", "\x07", "\x1b[2J\x1b[31m", "\r\n", "\u2028", "\u202e", "\x7f", "\x85", "\ufeff", "\ud800"]
# Not ASCII, and looking as if they were; or nothing at all.
LOOK_ALIKE = [
    "\u0430da",
    "ad\u0430",
    "ada\u200b",
    "\u212ade",
    "ADA",
    "\uff41da",
    "a\u0308",
    "\u00e4",
    "\u0130",
    "\u2800",
]
NUMBERS = [0, -1, 2**31, 2**63, 2**64, 10**400, 1.5, -0.0, 1e308, True, False, None]
TIMES = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-14:00",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "2024-02-29T00:00:00Z",
    "2026-06-30T23:59:60Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T12:00:00",
    "2026-01-31",
    "2026-01-31T12:00:00.1234567890123Z",
    "2026-01-31T12:00:00+99:99",
    "1767225600",
    "now",
    "infinity",
]
MAPS: list[Any] = [
    {"a": {}},
    {MARKER: 7},
    {MARKER: None},
    {"": MARKER},
    {f"{MARKER}\0": MARKER},
    {MARKER: f"{MARKER}\0"},
    {MARKER: "\ud800"},
    {MARKER * 30: MARKER},
    {MARKER: MARKER * 400},
    {f"{MARKER}{number}": "" for number in range(51)},
]
ODD_VALUES: list[Any] = [
    *SQL, *CONTROL, *LOOK_ALIKE, *NUMBERS, *TIMES, *MAPS, "", " ", "keep", [], {}, [[]], "x" * 70_000,
]  # fmt: skip
TOP = ["specversion", "id", "source", "type", "time", "traceparent", "data"]
OF_DATA = [
    "cognito_user_id",
    "email",
    "display_name",
    "handle",
    "attributes",
    "message",
    "expires_at",
    "reply_to_activity_uuid",
    "activities",
]


def written_by_hand() -> list[str]:
    """Those that somebody thought of."""
    good = good_bodies(random.Random(0))
    return [
        "",
        " ",
        "null",
        "true",
        "0",
        "-",
        "[]",
        "{}",
        '""',
        '"' + MARKER + '"',
        "NaN",
        "Infinity",
        '{"a":1,}',
        "{'a': 1}",
        '{"data":' * 50_000,
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"type":"user.signed_up.v1","type":"activity.created.v1"}',
        good[0][:-1],
        good[0] + good[0],
        good[0] + "\n",
        "\ufeff" + good[0],
        good[0].encode("utf-16-le").decode("latin-1"),
        good[0].encode("utf-8").decode("latin-1"),
        b64encode(good[0].encode()).decode(),
        json.dumps(good[0]),
        json.dumps([json.loads(good[0])]),
        *map(from_sns, good),
        *map(from_event_bridge, good),
        *(with_value(body, name, value) for body in good for name in (*TOP, *OF_DATA) for value in ODD_VALUES),
    ]


def good_bodies(chance: random.Random) -> list[str]:
    """Of each type one, of somebody else each time."""
    names = [f"{MARKER}{chance.getrandbits(64):016x}" for _ in range(4)]
    ids = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(3)]
    attributes = {"custom:tenant_id": MARKER, MARKER: "a\tb\nc"}
    return [
        sign_up(names[0], attributes=attributes),
        activity(names[1], f"{MARKER} says hello", id=ids[0]),
        updated(names[2], id=ids[1], attributes=attributes),
        with_value(deleted(names[3]), "id", ids[2]),
    ]


def from_sns(body: str) -> str:
    """Through a topic without raw message delivery (Amazon SNS Developer Guide, "Parsing message formats")."""
    return json.dumps({"Type": "Notification", "MessageId": MARKER, "TopicArn": MARKER, "Message": body})


def from_event_bridge(body: str) -> str:
    """Through a rule (Amazon EventBridge User Guide, "Event structure")."""
    return json.dumps({"version": "0", "id": MARKER, "detail-type": MARKER, "source": MARKER, "detail": body})


def with_value(body: str, name: str, value: Any) -> str:
    """With another value of an attribute."""
    event = json.loads(body)
    (event["data"] if name in OF_DATA else event)[name] = value
    return json.dumps(event)


def mutated(seed: int) -> Iterator[str]:
    """Good bodies to which one to three things were done, without end."""
    chance = random.Random(seed)
    while True:
        body = chance.choice(good_bodies(chance))
        for _ in range(chance.randint(1, 3)):
            body = chance.choice(_MUTATIONS)(chance, body)
        yield body


def _cut(chance: random.Random, body: str) -> str:
    return body[: chance.randrange(len(body) + 1)]


def _insert(chance: random.Random, body: str) -> str:
    at = chance.randrange(len(body) + 1)
    piece: str = chance.choice([*CONTROL, *SQL, *'{}[]",:\\u0'])
    return body[:at] + piece + body[at:]


def _remove(chance: random.Random, body: str) -> str:
    at = chance.randrange(len(body) + 1)
    return body[:at] + body[at + chance.randint(1, 5) :]


def _swap(chance: random.Random, body: str) -> str:
    at = chance.randrange(len(body) + 1)
    return body[:at] + chr(chance.choice([chance.randrange(128), chance.randrange(0x11_0000)])) + body[at + 1 :]


def _repeat(chance: random.Random, body: str) -> str:
    at = chance.randrange(len(body) + 1)
    return body[:at] + body[at : at + 40] * chance.choice([2, 3, 500]) + body[at + 40 :]


def _nest(chance: random.Random, body: str) -> str:
    depth = chance.choice([1, 10, 300])
    return '{"data":' * depth + body + "}" * depth


def _change(chance: random.Random, body: str) -> str:
    try:
        return with_value(body, chance.choice([*TOP, *OF_DATA]), chance.choice(ODD_VALUES))
    except (ValueError, TypeError, KeyError, RecursionError):
        return body  # it is no event any more


def _drop(chance: random.Random, body: str) -> str:
    try:
        event = json.loads(body)
        event.pop(chance.choice(TOP), None)
        event["data"].pop(chance.choice(OF_DATA), None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return body
    return json.dumps(event)


def _wrap(chance: random.Random, body: str) -> str:
    return chance.choice(_WRAPPINGS)(body)


_WRAPPINGS: list[Callable[[str], str]] = [from_sns, from_event_bridge, json.dumps]
_MUTATIONS: list[Callable[[random.Random, str], str]] = [
    _cut,
    _insert,
    _remove,
    _swap,
    _repeat,
    _nest,
    _change,
    _change,
    _change,
    _drop,
    _wrap,
]
