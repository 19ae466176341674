"""Admin server: the worker's own HTTP, for whoever looks after it:

- `/livez`: 200 while every thread turns, 503 with the names of those that are stuck. To be restarted for.
- `/readyz`: 200 while the database can be written to, 503 otherwise. Not to be restarted for: the worker waits.
- `/metrics`: for Prometheus.
- `/status`: the last hour, as JSON.

It tells no personal data and changes nothing. It knows no passwords either, which is why it listens on loopback unless
it is told otherwise.
"""

import json
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, ClassVar

import structlog

from worker.settings import InvalidSettings

REQUEST_TIMEOUT = 5.0  # seconds in which a client has to ask, and to take the answer
REQUESTS_AT_ONCE = 16  # beyond that a connection is closed unanswered

Page = Callable[[str], tuple[HTTPStatus, str, bytes]]
"""Answers a request with this `Accept` header: status, content type and content."""

log = structlog.get_logger()


class AdminServer:
    """Answers requests for the pages it is given, by path. Raises `InvalidSettings` if the address cannot be used.

    Port 0 is one that is free; `run` is its thread.
    """

    def __init__(self, host: str, port: int, pages: dict[str, Page]) -> None:
        try:
            self._server = _Server(host, port, pages)
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


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, pages: dict[str, Page]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.pages = pages
        self._room = threading.BoundedSemaphore(REQUESTS_AT_ONCE)
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Without `HTTPServer.server_bind`'s look-up of a name for the address, which may wait for a name server."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

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

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
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
        self.end_headers()
        self.wfile.write(content)


def text(status: HTTPStatus, line: str) -> tuple[HTTPStatus, str, bytes]:
    """A page of one line."""
    return status, "text/plain; charset=utf-8", f"{line}\n".encode()


def as_json(content: object) -> tuple[HTTPStatus, str, bytes]:
    """A page for programs."""
    return HTTPStatus.OK, "application/json", json.dumps(content).encode()
