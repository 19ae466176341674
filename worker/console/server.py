"""HTTP server of the console, until it is stopped."""

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from worker.console.connections import BoundedConnection

GRACE = 5  # seconds for pages under way, when it is stopped
MAX_HEAD = 16_384  # bytes of a request's first line and headers
KEEP_ALIVE = 5  # seconds for which a connection stays open behind an answer


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def http_server(app: Starlette) -> uvicorn.Server:
    """What answers; it stops when its `should_exit` is set."""
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",  # what it logs, addresses with what was searched for among them, is not for our log
        access_log=False,
        proxy_headers=False,
        server_header=False,
        lifespan="off",
        http=BoundedConnection,
        ws="none",
        h11_max_incomplete_event_size=MAX_HEAD,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    return uvicorn.Server(config)


def serve(app: Starlette, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called when there is somebody to answer."""
    server = http_server(app)
    # At its end uvicorn raises the signal again that it was stopped by, for whoever was there before it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stopped_already)
    asyncio.run(_serve(server, listener, ready))


async def _serve(server: uvicorn.Server, listener: socket.socket, ready: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(ready)
    await server.serve(sockets=[listener])


def _stopped_already(_: int, __: FrameType | None) -> None:
    """Nothing: it is stopping."""
