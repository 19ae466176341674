"""HTTP GET within bounds, of a server that may be slow, endless, or none."""

import http.client
import io
import socket
import time
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def http_get(connection: socket.socket, host: str, path: str, *, seconds: float, most: int) -> tuple[int, bytes]:
    """The status of the whole answer, which has so many seconds, and the first `most` bytes of its content.

    `host` has the port, if it is not the scheme's own. Raises `OSError` and `http.client.HTTPException`.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
    stream = _Until(connection, time.monotonic() + seconds)
    connection.sendall(request.encode())
    with http.client.HTTPResponse(cast("socket.socket", stream), method="GET") as answer:
        answer.begin()
        return answer.status, answer.read(most)


class _Until(io.RawIOBase):
    """What comes on a socket until a time (of `time.monotonic`), where each read by itself may be in time for ever."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        super().__init__()
        self._connection = connection
        self._until = until

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Raises `TimeoutError`."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)
