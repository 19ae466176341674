"""What the console does for those who have not shown yet that they may ask it anything: next to nothing."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.worker.console.operator import Operator
from tests.worker.console.running_console import ConsoleThread
from worker.console.connections import MAX_CONNECTIONS
from worker.console.pages import login
from worker.console.request import MAX_FIELDS, MAX_FORM, Problem, read_form

TIMEOUT = 60.0  # seconds, far beyond all that is waited for here


@contextmanager
def connected(console: ConsoleThread, head: bytes = b"") -> Iterator[socket.socket]:
    """A connection on which the beginning of a request was sent, and no more."""
    parts = urlsplit(console.address)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=TIMEOUT) as client:
        client.sendall(head)
        yield client


def form(path: str, length: int | None, **headers: str) -> bytes:
    """The head of a form of so many bytes, or of one that does not say how long it is."""
    size = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    lines = [f"{name}: {value}" for name, value in ({"Host": "127.0.0.1"} | size | headers).items()]
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode()


def answer_to(console: ConsoleThread, request: bytes) -> tuple[int, str]:
    """Status and text of the answer; the request is not sent any further."""
    with connected(console, request) as client, HTTPResponse(client) as answer:
        answer.begin()
        return answer.status, answer.read().decode()


def test_a_body_that_is_none_costs_its_request_and_is_no_defect(
    console: ConsoleThread, operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    """The page is being made already when the head has come, and the rest with it."""
    rest = "Transfer-Encoding: chunked\r\n\r\nno chunk\r\n"
    asked = [("GET", "127.0.0.1", operator.cookie), ("GET", "evil.example", "none"), ("HEAD", "127.0.0.1", "none")]
    for method, host, cookie in asked:
        request = f"{method} /audit HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n{rest}"
        with connected(console, request.encode()) as client, HTTPResponse(client, method=method) as answer:
            answer.begin()
            assert answer.status == 400

    assert operator.get("/audit").status == 200
    assert [line for line in console.log if line["event"] == "page_failed"] == []
    assert caplog.text == ""


@pytest.mark.parametrize("path", ["/letters/look", "/letters/act", "/letters/x/check", "/users", "/logout"])
def test_a_form_without_a_session_is_answered_before_it_is_read(console: ConsoleThread, path: str) -> None:
    assert answer_to(console, form(path, MAX_FORM) + b"text=") == (303, "")


def test_so_is_one_from_elsewhere(console: ConsoleThread, operator: Operator) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        status, _ = answer_to(console, form("/users", MAX_FORM, Cookie=operator.cookie, **headers) + b"name=")
        assert status == 403
        status, text = answer_to(console, form("/login", login.MAX_FORM, **headers) + b"who=")
        assert (status, "was not sent by this page" in text) == (403, True)


def test_so_is_one_that_says_that_it_is_too_long(console: ConsoleThread, operator: Operator) -> None:
    assert answer_to(console, form("/login", login.MAX_FORM + 1))[0] == 413
    assert answer_to(console, form("/users", MAX_FORM + 1, Cookie=operator.cookie))[0] == 413


def test_a_login_that_does_not_say_how_long_it_is_is_read_as_far_as_a_login_goes(console: ConsoleThread) -> None:
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"

    assert answer_to(console, form("/login", None) + chunk + chunk)[0] == 413


def test_a_login_of_many_fields_is_none(console: ConsoleThread) -> None:
    fields = {str(number): "" for number in range(login.MAX_FIELDS)}
    answer = Operator(console.address).post("/login", follow=False, who="Eve", token="x", **fields)  # type: ignore[arg-type]

    assert answer.status == 400


@given(st.lists(st.tuples(st.text(), st.text(max_size=20))))
def test_a_form_is_read_as_it_was_written(fields: list[tuple[str, str]]) -> None:
    expected: dict[str, list[str]] = {}
    for name, value in fields:
        expected.setdefault(name, []).append(value)

    assert read_form(urlencode(fields).encode(), MAX_FIELDS) == expected


@given(st.text("ab%+&=fF49;\x00 ", max_size=12))
@example("%aF=%fA&%Ff")
@example("%zz%4&&=%2B+")
def test_whatever_was_written_is_read_as_the_standard_library_reads_it(text: str) -> None:
    try:
        expected = parse_qsl(text, keep_blank_values=True, errors="strict")
    except ValueError:
        with pytest.raises(Problem):
            read_form(text.encode(), MAX_FIELDS)
    else:
        read = read_form(text.encode(), MAX_FIELDS)
        assert read == {name: [value for other, value in expected if other == name] for name, _ in expected}


def test_who_holds_all_connections_loses_the_oldest_of_them(console: ConsoleThread, operator: Operator) -> None:
    with ExitStack() as stack:
        heads = [b"", b"GET / HTT", form("/login", 100) + b"who="]
        held = [stack.enter_context(connected(console, heads[at % 3])) for at in range(MAX_CONNECTIONS + 20)]

        assert operator.get("/audit").status == 200
        assert Operator(console.address).log_in(console.token, "Linus").get("/").status == 200
        assert all(is_hung_up(client) for client in held[:20])


def is_hung_up(client: socket.socket) -> bool:
    """Waits for it."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
