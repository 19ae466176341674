"""A TCP listener that goes down and comes back at the same port: what the proxies have in common."""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable

from tests.support.ports import free_port

# On, for zero seconds: closing such a socket resets the connection instead of ending it politely.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Listener:
    """Hands each connection to `handle` in a thread of its own, and closes it when that returns.

    A handler gets a socket without Nagle's delay. When the connection is cut it finds the socket at its end.
    """

    def __init__(self, handle: Callable[[socket.socket], None]) -> None:
        self.port = free_port()
        self._handle = handle
        self._socket: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()

    def up(self) -> None:
        """Listen, unless listening."""
        if self._socket is not None:
            return
        self._socket = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._accepting = threading.Thread(target=self._accept, args=(self._socket,), daemon=True)
        self._accepting.start()

    def down(self) -> None:
        """Refuse new connections, and cut those there are."""
        if self._socket is not None and self._accepting is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._socket.close()
            self._accepting.join()
            self._socket = None
        self.cut()

    def cut(self) -> None:
        """Reset all connections there are, and go on accepting new ones."""
        with self._lock:
            for connection in self._connections:
                reset(connection)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return  # `down` closed it
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._handle(connection)
        except OSError:
            pass  # the client has gone, or was cut
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()


def reset(connection: socket.socket) -> None:
    """Wake whoever reads from a connection, and have its closing tell the peer that something broke.

    What the peer sends from now on is read by nobody, and what it is sent does not leave. (To close only the reading
    end is not enough: Linux still delivers what arrives before the reader has woken up.)
    """
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        connection.shutdown(socket.SHUT_RDWR)


def hang_up(connection: socket.socket) -> None:
    """End a connection politely: what was sent still arrives."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def has_hung_up(connection: socket.socket) -> bool:
    """Whether the peer of a connection, all of whose bytes have been read, is gone."""
    readable, _, _ = select.select([connection], [], [], 0)
    try:
        return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
    except OSError:
        return True
