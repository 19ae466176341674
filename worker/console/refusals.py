"""Refused logins: who has failed often waits, longer each time, until the next try is looked at.

An address is that of the peer: behind a proxy it is the proxy's, and all who come by it wait together. Of IPv6 the
first half counts, which is what one network has (RFC 4291, 2.5.1 "Interface Identifiers").
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

FREE = 5  # refusals that cost nothing
FIRST_WAIT = 1.0  # second, then twice as much each time
MAX_WAIT = 60.0  # seconds
FORGOTTEN_AFTER = 900.0  # seconds without another one
MAX_ADDRESSES = 1000  # those that failed last; who has so many of them has no need to wait


class Refusals:
    """Safe to use from any thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._refused: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how often, and when the last time

    def wait(self, address: str) -> float:
        """Seconds until a login from there is looked at."""
        count, at = self._known(_network(address))
        if count <= FREE:
            return 0.0
        return max(0.0, at + min(MAX_WAIT, FIRST_WAIT * 2.0 ** min(count - FREE - 1, 16)) - self._now())

    def add(self, address: str) -> None:
        """A login from there was refused."""
        network = _network(address)
        count, _ = self._known(network)
        with self._lock:
            self._refused[network] = (count + 1, self._now())
            self._refused.move_to_end(network)
            if len(self._refused) > MAX_ADDRESSES:
                self._refused.popitem(last=False)

    def _known(self, network: str) -> tuple[int, float]:
        with self._lock:
            count, at = self._refused.get(network, (0, 0.0))
        return (count, at) if count and self._now() - at < FORGOTTEN_AFTER else (0, 0.0)


def _network(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:  # a socket of the machine has none
        return address
    return str(IPv6Address(int(parsed) >> 64 << 64)) if isinstance(parsed, IPv6Address) else str(parsed)
