"""Environment: what is read of it without the checks of `worker.settings`, whose libraries take longer than the work.

`signup-sync health` runs every half minute beside the worker, in its share of a processor: for that it is that this
module needs the standard library alone. The rules are here, and `worker.settings` goes by them.
"""

import os
from collections.abc import Mapping

DEFAULT_ADMIN_ADDRESS = "127.0.0.1:9090"
OFF = "off"
MAX_PROCESSES = 64
_MAX_PORT = 65_535


def host_and_port(text: str) -> tuple[str, int]:
    """`127.0.0.1:8765`, `[::1]:8765`, or a name and a port. Raises `ValueError` without words."""
    host, _, digits = text.rpartition(":")
    port = _number(digits, _MAX_PORT)
    if not host or port is None:
        raise ValueError
    return host.removeprefix("[").removesuffix("]"), port


def admin_address(text: str) -> tuple[str, int] | None:
    """ADMIN_ADDRESS as host and port; None if it is off. Raises `ValueError` in words that follow the name."""
    if text == OFF:
        return None
    try:
        return host_and_port(text)
    except ValueError:
        raise ValueError(f"should be a host and a port, such as {DEFAULT_ADMIN_ADDRESS}, or {OFF}") from None


def number_of_processes(text: str) -> int:
    """PROCESSES as a number. Raises `ValueError` in words that follow the name."""
    number = _number(text.strip(), MAX_PROCESSES)
    if not number:
        raise ValueError(f"should be a number from 1 to {MAX_PROCESSES}")
    return number


def admin_addresses(environment: Mapping[str, str] = os.environ) -> list[tuple[str, int]]:
    """Where the worker's processes answer, each at the next port; none if ADMIN_ADDRESS is off.

    Raises `ValueError`: one line that names the setting that is malformed.
    """
    text = environment.get("ADMIN_ADDRESS") or DEFAULT_ADMIN_ADDRESS
    processes = environment.get("PROCESSES") or "1"
    name = "ADMIN_ADDRESS"
    try:
        address = admin_address(text)
        name = "PROCESSES"
        count = number_of_processes(processes)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    return [(address[0], address[1] + number) for number in range(count)] if address else []


def _number(digits: str, most: int) -> int | None:
    """None for what is no number, or larger than that."""
    if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(most)):
        return None
    return number if (number := int(digits)) <= most else None


def adopt_region() -> None:
    """Let boto3 have the region of AWS_REGION, which ECS, the other SDKs and the AWS CLI go by.

    By itself it reads nothing but AWS_DEFAULT_REGION and the profile (botocore.configprovider).
    """
    if region := os.environ.get("AWS_REGION"):
        os.environ["AWS_DEFAULT_REGION"] = region
