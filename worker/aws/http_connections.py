"""HTTP/1.1 connections to one endpoint, kept open: a request's bytes out, an answer in, no more than that.

What they save is in `worker.aws.lean_client`.

It takes the part of urllib3 and http.client below boto3, which read an answer's headers with a parser for e-mail; their
time-outs, their pool, their check for connections that the other side has closed, and botocore's exceptions are here
too. References are to RFC 9112 (HTTP/1.1).
"""

import socket
import ssl
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedReader
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnection
from botocore.httpsession import create_urllib3_context
from urllib3.util import wait_for_read

MAX_LINE = 65_536  # bytes of a header, or of a chunk's size; as in http.client
MAX_HEADERS = 100  # of one answer, or of its trailers; as in http.client
MAX_INTERIM = 10  # answers before the final one; SQS sends none
# Bytes of an answer's content: ten messages of 1 MiB (SQS Developer Guide, "Amazon SQS message quotas") in JSON, of
# which each byte may be as long as \u0000.
MAX_CONTENT = 64 * 1_048_576
LATE = 0.05  # seconds for an answer, when another that was asked for before has timed out
_PORTS = {"http": 80, "https": 443}


class Answer(NamedTuple):
    """A response; `headers` by name in lower case. Its names are those that botocore's handlers expect."""

    status_code: int
    headers: dict[str, str]
    content: bytes


class HttpConnections:
    """The connections to one endpoint; any number of threads may use them, of which each has one while it exchanges.

    `config` is a `botocore.config.Config` (whose stubs do not name its options): of it are the time-outs, the number of
    connections that are kept, and TCP keep-alive. `ca_bundle` is the file of the authorities that TLS trusts.
    """

    def __init__(self, url: str, config: Any, ca_bundle: str) -> None:
        parts = urlsplit(url)
        self._url = url
        self._address = (parts.hostname or "", parts.port or _PORTS[parts.scheme])
        self._config = config
        self._tls = _tls(ca_bundle) if parts.scheme == "https" else None
        # The one used last is used next, so that those in excess become old and are closed by the other side.
        self._idle: deque[_Connection] = deque()
        self.host = _host(parts.scheme, *self._address)

    def exchange_all(self, requests: Sequence[bytes]) -> list[Answer | BotoCoreError]:
        """Send requests, each on a connection of its own, and then read their answers, in their order.

        All of them are under way together, so that they take as long as one. In the place of an answer may stand
        botocore's `EndpointConnectionError`, `ConnectTimeoutError`, `SSLError`, `ReadTimeoutError` or
        `ConnectionClosedError`; after the last two nobody knows whether the request has had an effect.
        """
        sent: list[_Connection | BotoCoreError] = []
        for request in requests:
            # Where one connection could not be made, the next ones are not waited for.
            unreachable = sent and isinstance(sent[-1], NoConnection)
            sent.append(sent[-1] if unreachable else self._send(request))
        answers: list[Answer | BotoCoreError] = []
        for connection in sent:
            late = answers and isinstance(answers[-1], ReadTimeoutError)
            if isinstance(connection, BotoCoreError):
                answers.append(connection)
            else:
                answers.append(self._receive(connection, LATE if late else None))
        return answers

    def _send(self, request: bytes) -> "_Connection | BotoCoreError":
        try:
            connection = self._take()
        except BotoCoreError as error:
            return error
        try:
            connection.socket.sendall(request)
        except OSError as error:
            connection.close()
            return self._failure(error)
        return connection

    def _receive(self, connection: "_Connection", timeout: float | None) -> Answer | BotoCoreError:
        """An answer, within the configured time unless there is a `timeout` (seconds)."""
        reusable = False
        try:
            if timeout is not None:
                connection.socket.settimeout(timeout)
            answer, reusable = _read_answer(connection.stream)
        except (OSError, ValueError) as error:
            return self._failure(error)
        finally:
            if reusable and timeout is None and len(self._idle) < self._config.max_pool_connections:
                self._idle.append(connection)
            else:
                connection.close()
        return answer

    def _failure(self, error: Exception) -> BotoCoreError:
        if isinstance(error, TimeoutError):
            return ReadTimeoutError(endpoint_url=self._url, error=error)
        return ConnectionClosedError(endpoint_url=self._url, error=error)

    def close(self) -> None:
        """Close the connections that are not in use."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _take(self) -> "_Connection":
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                # Bytes that nobody asked for, or the end: the other side has closed it.
                if not wait_for_read(connection.socket, timeout=0.0):
                    return connection
                connection.close()
        return self._connect()

    def _connect(self) -> "_Connection":
        try:
            plain = socket.create_connection(self._address, self._config.connect_timeout)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._config.tcp_keepalive:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # In case of an error, wrap_socket closes the socket.
            connected = self._tls.wrap_socket(plain, server_hostname=self._address[0]) if self._tls else plain
        except ssl.SSLError as error:
            raise SSLError(endpoint_url=self._url, error=error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(endpoint_url=self._url, error=error) from error
        except OSError as error:
            raise EndpointConnectionError(endpoint_url=self._url, error=error) from error
        connected.settimeout(self._config.read_timeout)
        return _Connection(connected)


class _Connection:
    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.stream: BufferedReader = connected.makefile("rb", MAX_LINE)  # type: ignore[assignment]  # for IOBase

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


def _read_answer(stream: BufferedReader) -> tuple[Answer, bool]:
    """An answer, and whether the connection can have another one.

    Raises `OSError`, or `ValueError` for no HTTP, and for more than SQS would say.
    """
    version, status, headers = _read_head(stream)
    for _ in range(MAX_INTERIM):
        if status >= 200:
            break
        version, status, headers = _read_head(stream)  # the last was interim (15.2 of RFC 9110)
    else:
        raise ValueError("interim answers without end")
    reusable = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return Answer(status, headers, _read_chunks(stream)), reusable
    if "content-length" in headers:
        return Answer(status, headers, _read_exactly(stream, int(headers["content-length"]))), reusable
    return Answer(status, headers, _read_to_end(stream)), False  # until the end of the connection (6.3)


def _read_head(stream: BufferedReader) -> tuple[str, int, dict[str, str]]:
    """The version, the status and the headers."""
    status_line, *lines = _read_lines(stream)
    version, status, *_ = status_line.split(None, 2)
    if not version.startswith("HTTP/1."):
        raise ValueError("not HTTP/1")
    fields = (line.partition(":") for line in lines)
    return version, int(status), {name.lower(): value.strip() for name, _, value in fields}


def _read_lines(stream: BufferedReader) -> list[str]:
    """The lines up to an empty one."""
    end = stream.peek().find(b"\r\n\r\n")
    if end >= 0:  # all of them are here, as almost always
        lines = stream.read(end + 4)[:end].decode("latin-1").split("\r\n")
    else:
        lines = [line.decode("latin-1") for line in islice(iter(lambda: _read_line(stream), b""), MAX_HEADERS + 2)]
    if len(lines) > MAX_HEADERS + 1:  # the first is the status line, where there is one
        raise ValueError("too many headers")
    return lines


def _read_chunks(stream: BufferedReader) -> bytes:
    """The content in chunks, without its trailers (7.1)."""
    content = bytearray()
    while size := int(_read_line(stream).partition(b";")[0], 16):
        content += _read_exactly(stream, size, MAX_CONTENT - len(content))
        _read_line(stream)
    _read_lines(stream)
    return bytes(content)


def _read_line(stream: BufferedReader) -> bytes:
    """A line without its end."""
    line = stream.readline(MAX_LINE)
    if not line.endswith(b"\n"):
        raise ValueError("a line that is too long, or cut off")
    return line.rstrip(b"\r\n")


def _read_to_end(stream: BufferedReader) -> bytes:
    content = stream.read(MAX_CONTENT + 1)
    if len(content) > MAX_CONTENT:
        raise ValueError("content that is too long")
    return content


def _read_exactly(stream: BufferedReader, size: int, most: int = MAX_CONTENT) -> bytes:
    if not 0 <= size <= most:
        raise ValueError("content that is too long")
    content = stream.read(size)
    if len(content) != size:
        raise ValueError("content that was cut off")
    return content


def _tls(ca_bundle: str) -> ssl.SSLContext:
    context: ssl.SSLContext = create_urllib3_context()  # with botocore's options
    context.check_hostname = True
    context.load_verify_locations(ca_bundle)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _host(scheme: str, name: str, port: int) -> str:
    """The value of the header `Host`, in which a default port is left out."""
    name = f"[{name}]" if ":" in name else name
    return name if port == _PORTS[scheme] else f"{name}:{port}"
