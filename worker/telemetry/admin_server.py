"""Admin server: the worker's own HTTP, for whoever looks after it:

- `/livez`: 200 while every thread turns, 503 with the names of those that are stuck. To be restarted for.
- `/readyz`: 200 while the database can be written to, 503 otherwise. Not to be restarted for: the worker waits.
- `/metrics`: for Prometheus.
- `/status`: the last hour, as JSON.

It tells no personal data and changes nothing. It knows no passwords either, which is why it listens on loopback unless
it is told otherwise.

Nobody keeps others from asking: a request has a few seconds for all of it; so many are answered at once, of which the
oldest makes room for a new one; and who asks from this machine (`signup-sync health`) has places of their own. Who asks
under a name that anybody could have registered is refused (`worker.telemetry.admin_hosts`).
"""

import io
import json
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, ClassVar

import structlog

from worker.settings import InvalidSettings
from worker.telemetry.admin_hosts import is_allowed

REQUEST_TIMEOUT = 5.0  # seconds in which a client has to ask, and to take the answer, all in all
REQUESTS_AT_ONCE = 16  # from this machine, and as many from others; beyond that the oldest is hung up on
MAX_THREADS = 2 * REQUESTS_AT_ONCE  # of each, with those that still end; beyond that a connection is closed unanswered
MAX_HEAD = 16_384  # bytes of a request: its first line and its headers
BACKLOG = 128  # connections that the kernel has taken, and we not yet

Page = Callable[[str], tuple[HTTPStatus, str, bytes]]
"""Answers a request with this `Accept` header: status, content type and content."""

log = structlog.get_logger()


class AdminServer:
    """Answers requests for the pages it is given, by path. Raises `InvalidSettings` if the address cannot be used.

    Port 0 is one that is free; `run` is its thread. It may be asked under the names `hosts`, besides `host` and those
    that are always allowed.
    """

    def __init__(self, host: str, port: int, pages: dict[str, Page], hosts: Collection[str] = ()) -> None:
        try:
            self._server = _Server(host, port, pages, {host.lower(), *hosts})
        except OSError as error:
            raise InvalidSettings(
                f"ADMIN_ADDRESS {host}:{port} cannot be used ({error.strerror or error}): "
                "another worker may have it; choose another, or off"
            ) from error

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        host, port = self._server.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def run(self) -> None:
        """Answer requests until stopped."""
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """May be called only if `run` has been."""
        self._server.shutdown()
        self._server.server_close()

    def close(self) -> None:
        """Instead of `run` and `stop`."""
        self._server.server_close()


class _Places:
    """The connections of one kind of client: a new one takes the place of the oldest. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[socket.socket, None] = {}  # in the order in which they came
        self._ending: set[socket.socket] = set()  # hung up on, and their threads have not noticed yet

    def take(self, connection: socket.socket) -> bool:
        """Whether it can have a place, which is to be given back."""
        with self._lock:
            if len(self._open) + len(self._ending) >= MAX_THREADS:
                return False
            if len(self._open) >= REQUESTS_AT_ONCE:
                self._hang_up_on(next(iter(self._open)))
            self._open[connection] = None
            return True

    def give_back(self, connection: socket.socket) -> None:
        """Before it is closed; it may have had no place."""
        with self._lock:
            self._open.pop(connection, None)
            self._ending.discard(connection)

    def _hang_up_on(self, connection: socket.socket) -> None:
        del self._open[connection]
        self._ending.add(connection)
        with suppress(OSError):  # the other side has done so already
            connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = BACKLOG

    def __init__(self, host: str, port: int, pages: dict[str, Page], hosts: Collection[str]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.pages = pages
        self.hosts = hosts
        self._of_this_machine, self._of_others = _Places(), _Places()
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Without `HTTPServer.server_bind`'s look-up of a name for the address, which may wait for a name server."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        # Who has the address that they speak to is here, as no answer would reach them elsewhere.
        here = request.getsockname()[0] == client_address[0]
        if (self._of_this_machine if here else self._of_others).take(request):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        self._of_this_machine.give_back(request)
        self._of_others.give_back(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (socketserver's signature)
        """In the log and not on standard error; a client that has gone is nobody's failure."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            stack = traceback.format_tb(error.__traceback__)
            log.error("admin_request_failed", error=type(error).__name__, stack=stack)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout: ClassVar[float] = REQUEST_TIMEOUT
    server_version = "signup-sync"
    sys_version = ""

    def setup(self) -> None:
        self._until = time.monotonic() + REQUEST_TIMEOUT
        super().setup()
        self.rfile.close()
        self.rfile = io.BytesIO(self._read_head())

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if not is_allowed(self.headers.get("Host"), self.server.hosts):
            line = "not by this name: ask by an IP address, or add the name to ADMIN_HOSTS"
            self._answer(*text(HTTPStatus.MISDIRECTED_REQUEST, line))
        elif page is None:
            known = " ".join(sorted(self.server.pages))
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", f"there are: {known}\n".encode())
        else:
            self._answer(*page(self.headers.get("Accept", "")))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (BaseHTTPRequestHandler's signature)
        """No line a request: they come every few seconds."""

    def _answer(self, status: HTTPStatus, content_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.connection.settimeout(self._left())
        self.end_headers()
        self.connection.settimeout(self._left())
        self.wfile.write(content)

    def _read_head(self) -> bytes:
        """All that is read of a request. Raises `OSError` if it does not come in time, or is too long."""
        head = bytearray()
        while head.find(b"\n\r\n") < 0:
            if len(head) > MAX_HEAD:
                raise ConnectionAbortedError
            self.connection.settimeout(self._left())
            part = self.connection.recv(4096)
            if not part:
                break
            head += part
        return bytes(head)

    def _left(self) -> float:
        """Seconds that the client still has. Raises `TimeoutError` if there are none."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def text(status: HTTPStatus, line: str) -> tuple[HTTPStatus, str, bytes]:
    """A page of one line."""
    return status, "text/plain; charset=utf-8", f"{line}\n".encode()


def as_json(content: object) -> tuple[HTTPStatus, str, bytes]:
    """A page for programs."""
    return HTTPStatus.OK, "application/json", json.dumps(content).encode()
