"""TCP ports for servers that are stopped and started again at the same address."""

import contextlib
import random
import socket
from contextlib import ExitStack

# Below the ports that Linux (from 32768) and macOS (from 49152) give to outgoing connections. A port from that range
# could be taken while its server is down, by the very client that tries to reach it: TCP lets a socket connect to
# itself.
_PORTS = range(20_000, 32_768)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that no outgoing connection will be given."""
    candidates = random.SystemRandom().sample(_PORTS, k=100)
    for port in candidates:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError(f"none of 100 ports from {_PORTS.start} to {_PORTS.stop - 1} is free")


def free_ports(count: int) -> list[int]:
    """So many such ports, one after the other."""
    starts = random.SystemRandom().sample(_PORTS[: len(_PORTS) - count], k=100)
    for start in starts:
        ports = list(range(start, start + count))
        with contextlib.suppress(OSError), ExitStack() as stack:
            for port in ports:
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return ports
    raise RuntimeError(f"there are not {count} free ports in a row")
