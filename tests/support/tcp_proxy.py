"""A TCP proxy that cuts, freezes and delays: the network between the worker and Postgres."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.support.listener import Listener, hang_up, reset

_CHUNK = 64 * 1024  # bytes


class TcpProxy:
    """Passes bytes to and from a port of 127.0.0.1 until it is told otherwise.

    `cut` and `down` are what a failover looks like; `freeze` is a black hole, in which connections stay open and say
    nothing more. New connections are accepted even then, but lead nowhere until `thaw`. While the target is down, a
    new connection is accepted and closed at once.
    """

    def __init__(self, target_port: int) -> None:
        self.delay = 0.0
        """Seconds that each chunk waits before it is passed on, in either direction."""
        self._lost: tuple[bytes, int] = (b"", 0)
        self._target_port = target_port
        self._flowing = threading.Event()
        self._flowing.set()
        self._listener = Listener(self._connect)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """Where the proxy listens; the same after `down` and `up`."""
        return self._listener.port

    def through(self, url: str) -> str:
        """The URL of a server, changed so that it leads through this proxy."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}").geturl()

    def up(self) -> None:
        """Accept connections."""
        self._listener.up()

    def down(self) -> None:
        """Cut all connections and refuse new ones."""
        self._listener.down()

    def cut(self) -> None:
        """Cut all connections there are."""
        self._listener.cut()

    def freeze(self) -> None:
        """Pass on nothing more, either way, not even the end of a connection."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass on what came in the meantime, and all that follows."""
        self._flowing.set()

    def lose_answers_to(self, request: bytes, times: int = 1) -> None:
        """Cut a connection whose client sends these bytes, after they took effect and before the answer passes."""
        self._lost = (request, times)

    def close(self) -> None:
        """Cut all connections and stop."""
        self.down()
        self.thaw()

    def _connect(self, client: socket.socket) -> None:
        self._flowing.wait()
        with socket.create_connection(("127.0.0.1", self._target_port)) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answer_is_lost = threading.Event()

            def pass_request(chunk: bytes) -> None:
                if self._loses_answer(chunk):
                    answer_is_lost.set()
                server.sendall(chunk)

            def pass_answer(chunk: bytes) -> None:
                if answer_is_lost.is_set():  # and so the request has taken effect
                    reset(client)
                client.sendall(chunk)

            answers = threading.Thread(target=self._pump, args=(server, client, pass_answer), daemon=True)
            answers.start()
            self._pump(client, server, pass_request)
            answers.join()

    def _pump(self, source: socket.socket, target: socket.socket, pass_on: Callable[[bytes], None]) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK):
                time.sleep(self.delay)
                self._flowing.wait()
                pass_on(chunk)
        self._flowing.wait()
        for end in (source, target):
            hang_up(end)

    def _loses_answer(self, chunk: bytes) -> bool:
        request, times = self._lost
        if not times or request not in chunk:
            return False
        self._lost = (request, times - 1)
        return True
