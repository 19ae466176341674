"""Public address: the one that this machine has on the internet."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.error import URLError
from urllib.request import urlopen

# AWS's own service for it, whose whole answer is the address and a line end.
SERVICE_URL = "https://checkip.amazonaws.com"
TIMEOUT = 5.0  # seconds
_MAX_ANSWER = 100  # bytes


class AddressUnknown(Exception):
    """The service did not say. One line."""


def public_address(url: str = SERVICE_URL) -> IPv4Address | IPv6Address:
    """Ask the service. Raises `AddressUnknown`."""
    try:
        with urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310 (a URL of ours)
            text = answer.read(_MAX_ANSWER).decode("ascii").strip()
        return ip_address(text)
    except URLError as error:
        raise AddressUnknown(f"{url} did not answer: {error.reason}") from error
    except OSError as error:
        raise AddressUnknown(f"{url} did not answer: {error}") from error
    except ValueError:
        raise AddressUnknown(f"{url} did not answer with an address") from None
