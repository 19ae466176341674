"""An HTTP proxy in front of SQS that fails on demand."""

import contextlib
import http.client
import json
import random
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import TracebackType
from typing import IO, Any, NamedTuple, Self
from urllib.parse import urlsplit

from tests.support.listener import Listener, hang_up, has_hung_up, reset
from tests.support.tcp_proxy import TcpProxy

__all__ = ["ANY", "Call", "FaultProxy", "TcpProxy"]

ANY = "*"
"""Stands for every action."""

POLLING_INTERVAL = 0.02  # seconds
UPSTREAM_TIMEOUT = 60.0  # seconds, well beyond the longest long poll

_CONTENT_TYPE = "application/x-amz-json-1.0"
_SHAPES = "com.amazonaws.sqs#"
# These belong to one connection, and the proxy has two.
_HOP_BY_HOP = {"connection", "content-length", "keep-alive", "transfer-encoding"}


class Call(NamedTuple):
    """A request that reached the proxy, whatever became of it."""

    at: float  # time.monotonic(), seconds
    action: str


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    headers: http.client.HTTPMessage
    body: bytes
    client: socket.socket

    @property
    def action(self) -> str:
        """What SQS is asked to do, such as `ReceiveMessage`."""
        return str(self.headers.get("X-Amz-Target", "")).removeprefix("AmazonSQS.")


@dataclass(frozen=True)
class _Response:
    status: int
    headers: dict[str, str]
    body: bytes


_Forward = Callable[[_Request], _Response]
_Effect = Callable[[_Request, _Forward], _Response]


@dataclass
class _Fault:
    """What happens to requests for `action`, after `spared` of them, for the next `remaining` (None: to all)."""

    action: str
    effect: _Effect
    remaining: int | None
    probability: float
    released: threading.Event = field(default_factory=threading.Event)
    spared: int = 0


class FaultProxy:
    """Passes requests to an SQS endpoint, and goes wrong in the ways it has been told to.

    Each way to go wrong applies to one action, or to `ANY`; to the next `times` requests, or to all until `clear`; and
    to a request with a `probability`, drawn from a generator that starts from `seed`. Some let as many requests as
    `after` says pass first. Where several apply to a request, the first one told decides, and the others see only what
    it lets through: a delay followed by a failure is a late failure.

    boto3 sends every request to the endpoint it was configured with, and the queue URL in the body, where moto reads
    nothing but the queue's name. So queue URLs that name moto's own port lead through the proxy as well, as long as
    the client was made with the proxy's `endpoint_url`.
    """

    def __init__(self, target_url: str, *, seed: int = 0) -> None:
        target = urlsplit(target_url)
        self._target = (target.hostname or "127.0.0.1", target.port or 80)
        self._random = random.Random(seed)
        self._faults: list[_Fault] = []
        self._log: list[Call] = []
        self._lock = threading.Lock()
        self._listener = Listener(self._serve)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def endpoint_url(self) -> str:
        """For clients that are to go through the proxy; the same after `down` and `up`."""
        return f"http://127.0.0.1:{self._listener.port}"

    @property
    def log(self) -> list[Call]:
        """The requests so far, in the order in which they came."""
        with self._lock:
            return list(self._log)

    @property
    def calls(self) -> Counter[str]:
        """How many requests there were of each action."""
        return Counter(call.action for call in self.log)

    def up(self) -> None:
        """Accept connections."""
        self._listener.up()

    def down(self) -> None:
        """Cut all connections and refuse new ones."""
        self._listener.down()

    def close(self) -> None:
        """Forget all faults, cut all connections and stop."""
        self.clear()
        self.down()

    def clear(self, action: str | None = None) -> None:
        """Forget the faults of an action (those told for `ANY` with `ANY`), or all, and release what they hold."""
        with self._lock:
            cleared = [fault for fault in self._faults if action in (None, fault.action)]
            self._faults = [fault for fault in self._faults if fault not in cleared]
        for fault in cleared:
            fault.released.set()

    def fail(
        self,
        action: str,
        *,
        status: int = 500,
        code: str = "InternalFailure",
        query_code: str | None = None,
        message: str = "injected by the test",
        times: int | None = None,
        probability: float = 1.0,
        after: int = 0,
    ) -> None:
        """Answer with an error, without forwarding.

        Errors worth having: 503 `ServiceUnavailable`, 400 `ThrottlingException`, 403 `AccessDeniedException`, 403
        `ExpiredTokenException`. For those that SQS renamed when it went from XML to JSON, `query_code` is the old name,
        and the one boto3 reports: 400 `QueueDoesNotExist` has `AWS.SimpleQueueService.NonExistentQueue`.
        """
        answer = _error(status, code, query_code, message)
        self._add(_Fault(action, lambda _request, _forward: answer, times, probability, spared=after))

    def answer(self, action: str, body: dict[str, Any], *, times: int | None = None) -> None:
        """Answer with this, without forwarding: for what the server behind does not know."""
        response = _json_response(HTTPStatus.OK, body, {})
        self._add(_Fault(action, lambda _request, _forward: response, times, 1.0))

    def fail_entries(
        self,
        action: str,
        share: float = 0.5,
        *,
        code: str = "InternalError",
        sender_fault: bool = False,
        times: int | None = None,
        probability: float = 1.0,
    ) -> None:
        """Forward only some entries of a batch, and report the others as `Failed`.

        `share` of the entries fail, rounded down and picked at random: of ten entries half are five, of one none. So a
        caller who retries what failed gets everything through, unless the share is 1.
        """

        def effect(request: _Request, forward: _Forward) -> _Response:
            entries = json.loads(request.body)["Entries"]
            with self._lock:
                failing = set(self._random.sample(range(len(entries)), int(len(entries) * share)))
            failed = [
                {"Id": entries[position]["Id"], "SenderFault": sender_fault, "Code": code, "Message": "injected"}
                for position in sorted(failing)
            ]
            passing = [entry for position, entry in enumerate(entries) if position not in failing]
            return _with_failed(_forward_entries(request, passing, forward), failed)

        self._add(_Fault(action, effect, times, probability))

    def delay(
        self, action: str, seconds: float, *, times: int | None = None, probability: float = 1.0, after: int = 0
    ) -> None:
        """Wait before forwarding, until the seconds are over or the fault is cleared."""
        released = threading.Event()

        def effect(request: _Request, forward: _Forward) -> _Response:
            _hold(request, released, seconds)
            return forward(request)

        self._add(_Fault(action, effect, times, probability, released, after))

    def hang(self, action: str, *, times: int | None = None, probability: float = 1.0, after: int = 0) -> None:
        """Neither forward nor answer. `clear` cuts the connections that hang."""
        released = threading.Event()

        def effect(request: _Request, _forward: _Forward) -> _Response:
            _hold(request, released)
            raise _cut(request)

        self._add(_Fault(action, effect, times, probability, released, after))

    def drop_request(self, action: str, *, times: int | None = None, probability: float = 1.0) -> None:
        """Cut the connection without forwarding: the request has no effect."""

        def effect(request: _Request, _forward: _Forward) -> _Response:
            raise _cut(request)

        self._add(_Fault(action, effect, times, probability))

    def drop_response(self, action: str, *, times: int | None = None, probability: float = 1.0) -> None:
        """Cut the connection after forwarding: the request has its effect, and the client cannot know."""

        def effect(request: _Request, forward: _Forward) -> _Response:
            forward(request)
            raise _cut(request)

        self._add(_Fault(action, effect, times, probability))

    def cut_response(self, action: str, *, times: int | None = None, probability: float = 1.0) -> None:
        """Cut the connection in the middle of the answer's body, after forwarding."""

        def effect(request: _Request, forward: _Forward) -> _Response:
            answer = _serialised(forward(request))
            request.client.sendall(answer[: -len(answer) // 4])
            hang_up(request.client)
            raise ConnectionAbortedError(f"the answer to {request.action} was cut")

        self._add(_Fault(action, effect, times, probability))

    def _add(self, fault: _Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def _serve(self, client: socket.socket) -> None:
        with client.makefile("rb") as stream:
            while request := _read(stream, client):
                with self._lock:
                    self._log.append(Call(time.monotonic(), request.action))
                    faults = list(self._faults)
                client.sendall(_serialised(self._answer(request, faults)))

    def _answer(self, request: _Request, faults: list[_Fault]) -> _Response:
        if not faults:
            return self._forward(request)
        first, *others = faults

        def forward(passed: _Request) -> _Response:
            return self._answer(passed, others)

        return first.effect(request, forward) if self._strikes(first, request.action) else forward(request)

    def _strikes(self, fault: _Fault, action: str) -> bool:
        with self._lock:
            if fault.action not in (ANY, action) or fault.remaining == 0 or self._random.random() >= fault.probability:
                return False
            if fault.spared:
                fault.spared -= 1
                return False
            if fault.remaining is not None:
                fault.remaining -= 1
            return True

    def _forward(self, request: _Request) -> _Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        with contextlib.closing(http.client.HTTPConnection(*self._target, timeout=UPSTREAM_TIMEOUT)) as upstream:
            upstream.request(request.method, request.path, request.body, headers)
            # A caller who hangs up in the middle of a long poll must not go on waiting at the other end.
            select.select([upstream.sock, request.client], [], [], UPSTREAM_TIMEOUT)
            if has_hung_up(request.client):
                raise _cut(request)
            try:
                answer = upstream.getresponse()
                return _Response(answer.status, dict(answer.getheaders()), answer.read())
            except http.client.HTTPException as error:
                raise _cut(request) from error


def _read(stream: IO[bytes], client: socket.socket) -> _Request | None:
    """The next request of a kept-alive connection, or None at its end."""
    line = stream.readline().decode("latin-1").split()
    if not line:
        return None
    method, path, _version = line
    headers = http.client.parse_headers(stream)
    return _Request(method, path, headers, stream.read(int(headers.get("Content-Length", "0"))), client)


def _serialised(response: _Response) -> bytes:
    headers = {name: value for name, value in response.headers.items() if name.lower() not in _HOP_BY_HOP}
    headers["Content-Length"] = str(len(response.body))
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + response.body


def _json_response(status: int, body: dict[str, Any], headers: dict[str, str]) -> _Response:
    return _Response(status, {"Content-Type": _CONTENT_TYPE} | headers, json.dumps(body).encode())


def _error(status: int, code: str, query_code: str | None, message: str) -> _Response:
    fault = "Sender" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "Receiver"
    headers = {"x-amzn-query-error": f"{query_code};{fault}"} if query_code else {}
    shape = code if "#" in code else _SHAPES + code
    return _json_response(status, {"__type": shape, "message": message}, headers)


def _forward_entries(request: _Request, entries: list[dict[str, Any]], forward: _Forward) -> _Response:
    """Forward a batch of some of its entries; SQS does not take an empty one."""
    if not entries:
        return _json_response(HTTPStatus.OK, {"Successful": []}, {})
    body = json.loads(request.body) | {"Entries": entries}
    return forward(replace(request, body=json.dumps(body).encode()))


def _with_failed(response: _Response, failed: list[dict[str, Any]]) -> _Response:
    if response.status != HTTPStatus.OK or not failed:
        return response
    body = json.loads(response.body)
    return replace(response, body=json.dumps(body | {"Failed": [*body.get("Failed", []), *failed]}).encode())


def _hold(request: _Request, released: threading.Event, seconds: float = float("inf")) -> None:
    """Wait until the fault is cleared or `seconds` are over, as long as the client waits too."""
    deadline = time.monotonic() + seconds
    while not released.is_set() and time.monotonic() < deadline:
        if has_hung_up(request.client):
            raise _cut(request)
        released.wait(min(POLLING_INTERVAL, max(0.0, deadline - time.monotonic())))


def _cut(request: _Request) -> ConnectionAbortedError:
    """What to raise for the request's connection to be reset instead of answered."""
    reset(request.client)
    return ConnectionAbortedError(f"{request.action} was cut")
