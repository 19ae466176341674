"""Whatever somebody asks for, and whatever a message has in it, the answer is a page and not a failure."""

import http.client
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.support.dlq import Dlq
from tests.support.events import sign_up
from tests.support.fault_proxy import FaultProxy
from tests.worker.console.operator import Operator
from tests.worker.console.running_console import ConsoleThread, StartConsole

TEXTS = [
    "",
    " ",
    "²",
    "٣",
    "1e400",
    "nan",
    "-1",
    ".",
    "9" * 5000,
    "%00",
    "%ED%A0%80",
    "%F0",
    "%0d%0a",
    "a" * 8000,
    "['",
]
PATHS = ["/letters/{}", "/letters/{}/edit", "/jobs/{}", "/static/{}", "/{}"]
FIELDS = ["/letters/news?since={0}&ids={0}", "/letters?page={}", "/audit?page={}", "/feed?before={}", "/users?id={}"]
FILTERS = ["reason", "detail", "type", "newer", "older", "text", "sort"]
ODD_FIELDS = ["²", "nan", "9" * 5000, "\0\U0010ffff", '{"a":' * 12_000]
FORMS = {
    "/letters/confirm": ["action", "id"],
    "/letters/act": ["plan", "rate"],
    "/letters/set": ["plan", "member", "value", "id"],
    "/letters/set/send": ["plan", "member", "value", "number", "rate"],
    "/letters/copy": ["plan"],
    "/letters/look": ["newer", "text"],
    "/users": ["name"],
    "/users/reveal": ["sub"],
    "/users/enqueue": ["sub"],
    "/users/erase": ["sub", "typed", "activities"],
    "/pause": ["why"],
}


def failures(console: ConsoleThread) -> list[object]:
    return [line for line in console.log if line["event"] in ("page_failed", "job_failed", "look_failed")]


def fields(name: str, text: str) -> dict[str, Any]:
    return {name: text}


def test_no_path_and_no_field_of_an_address_fails(console: ConsoleThread, operator: Operator) -> None:
    texts = [quote(text, safe="%") for text in TEXTS]
    asked = [path.format(text) for path in [*PATHS, *FIELDS] for text in texts]
    asked += [f"/letters?{name}={text}" for name in FILTERS for text in texts]

    statuses = {path: operator.get(path).status for path in asked}

    assert {path for path, status in statuses.items() if status >= 500} == set()
    assert failures(console) == []


def test_no_field_of_a_form_fails(console: ConsoleThread, operator: Operator) -> None:
    statuses = {}
    for path, names in FORMS.items():
        for name in names:
            for text in ODD_FIELDS:
                statuses[path, name, text] = operator.post(path, follow=False, **fields(name, text)).status

    assert {asked for asked, status in statuses.items() if status >= 500} == set()
    assert failures(console) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://["},
        {"Origin": "http://[::1"},
        {"Origin": "\xff"},
        {"Cookie": "=; ;;" + "a=" * 1000},
        {"Sec-Fetch-Site": "\xff"},
        {"X-Part": "\xff"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Range": "bytes=" + "0-1," * 1000},
        {"If-Modified-Since": "x", "If-None-Match": "\xff"},
    ],
)
def test_no_header_fails(console: ConsoleThread, operator: Operator, headers: dict[str, str]) -> None:
    answers = [
        operator.get("/", **headers),
        operator.get("/static/console.js", **headers),
        operator.post("/login", headers=headers, follow=False, who="Eve", token="x"),
        operator.post("/letters/look", headers=headers, follow=False),
    ]

    assert all(answer.status < 500 for answer in answers)
    assert failures(console) == []


BODIES = [
    sign_up("\ud800", handle="\ud800", email="\ud800@example.com"),
    sign_up("a b"),
    '{"id": 1e400, "type": ["user."], "data": {"cognito_user_id": "\\u0000"}}',
    '{"type": "user.signed_up.v1", "id": "\\udcff", "data": {"cognito_user_id": "\\udcff"}}',
    "[" * 990 + "]" * 990,
    '{"a":' * 300 + "1" + "}" * 300,
    "9" * 5000,
    "\u202e\u2028\U000e0001",
]


def test_no_message_fails(console: ConsoleThread, operator: Operator, dlq: Dlq) -> None:
    ids = dlq.fill(*BODIES, detail="[\u2028" * 2000)
    operator.post("/letters/look")
    asked = ["/", "/letters", "/letters?text=udcff", "/users?id=1e400"]
    for message_id in ids:
        asked += [f"/letters/{message_id}", f"/letters/{message_id}/edit"]
        operator.post(f"/letters/{message_id}/open")

    answers = {path: operator.get(path).status for path in asked}
    answers |= {f"set {name}": operator.post("/letters/set", id=ids, member=name, value="x").status for name in "ab"}
    answers["confirm"] = operator.post("/letters/confirm", id=ids, action="replayed").status
    answers["users"] = operator.post("/users", name="user.signed_up.v1").status

    assert set(answers.values()) == {200}, answers
    assert failures(console) == []


@pytest.mark.parametrize("odd", ["\udcff", "..", "a/b?c#d", "\r\nX: y", " "])
def test_no_id_of_a_message_fails(start_console: StartConsole, proxy: FaultProxy, odd: str) -> None:
    message = {
        "MessageId": odd,
        "ReceiptHandle": "x",
        "Body": sign_up("ada", display_name=odd),
        "Attributes": {"SentTimestamp": "9" * 18},
        "MessageAttributes": {"failure_reason": {"DataType": "String", "StringValue": odd}},
    }
    console = start_console(endpoint_url=proxy.endpoint_url)
    operator = Operator(console.address).log_in(console.token)
    proxy.answer("ReceiveMessage", {"Messages": [message]}, times=1)

    answers = [operator.get("/letters"), operator.get("/"), operator.post("/users", name="ada")]
    address = f"/letters/{quote(odd, errors='replace')}"
    answers += [operator.get(address), operator.post(f"{address}/open")]

    assert [answer.status for answer in answers[:3]] == [200] * 3
    assert all(answer.status < 500 for answer in answers)
    assert "1 of 1" in answers[0].words
    assert failures(console) == []


def test_what_is_no_http_is_refused(console: ConsoleThread) -> None:
    parts = urlsplit(console.address)
    for line in (b"\xff\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET * HTTP/1.1\r\nHost: x\r\n\r\n"):
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        connection.connect()
        connection.sock.sendall(line)
        with http.client.HTTPResponse(connection.sock) as answer:
            answer.begin()
            assert answer.status < 500
        connection.close()
    assert failures(console) == []
