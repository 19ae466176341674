"""Connections of the console: how many there are, and how long each may keep its place.

uvicorn bounds the head of a request (16 KiB) and what it reads ahead of a body, and ends a connection on which nothing
at all comes after an answer. It has no limit for a head that comes slowly or never (its issue 157), and where
`limit_concurrency` is reached it refuses everybody: a hundred idle connections would lock an operator out. So, here:

- A head has `HEAD_TIMEOUT`, counted from the connection, or from the end of the answer before.
- Who takes an answer has `WRITE_TIMEOUT` for each next part of it.
- A connection beyond `MAX_CONNECTIONS` takes the place of the one that has waited longest for its client.

How long a form may take is in `worker.console.request`.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 100
HEAD_TIMEOUT = 10.0  # seconds
WRITE_TIMEOUT = 30.0  # seconds


class BoundedConnection(H11Protocol):
    """A connection of uvicorn's, with deadlines. All of it happens in the thread of the event loop.

    `waits_since` is when it began to wait for the request that it waits for, of the loop's clock.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._unwritten = 0  # bytes of an answer when it was last looked
        self.waits_since = self.loop.time()
        self._expect_head()
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._head_deadline)
        _cancel(self._write_deadline)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            _cancel(self._head_deadline)

    def on_response_complete(self) -> None:
        """Its client may send another request, which may have come already."""
        answered = self.cycle
        super().on_response_complete()
        if self.cycle is answered:
            self._expect_head()

    def send_400_response(self, msg: str) -> None:
        """The rest of a request is none. Its page may be under way, and would be sent behind this."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # in the middle of an answer, or of one to HEAD, which has no content
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():  # which waits until all of it has been taken
            _cancel(self._write_deadline)

    @property
    def waits_for_client(self) -> bool:
        """For a request, or for the rest of one, and not for a page that is being made."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def _expect_head(self) -> None:
        _cancel(self._head_deadline)
        self.waits_since = self.loop.time()
        self._head_deadline = self.loop.call_later(HEAD_TIMEOUT, self._end)

    def _end(self) -> None:
        """Once what is written has been taken."""
        self.transport.close()
        self._expect_reading()

    def _expect_reading(self) -> None:
        _cancel(self._write_deadline)
        self._unwritten = self.transport.get_write_buffer_size()
        self._write_deadline = self.loop.call_later(WRITE_TIMEOUT, self._look_at_reading)

    def _look_at_reading(self) -> None:
        if self.transport.get_write_buffer_size() < self._unwritten:
            self._expect_reading()
        else:
            self.transport.abort()

    def _make_room(self) -> None:
        others = [other for other in self.connections if isinstance(other, BoundedConnection) and other is not self]
        waiting = [other for other in others if other.waits_for_client]
        loser = min(waiting, key=lambda other: other.waits_since, default=self)
        self.connections.discard(loser)  # at once: more may come before it is told that it is lost
        loser.transport.abort()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
