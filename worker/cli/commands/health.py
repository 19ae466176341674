"""`signup-sync health`. It runs again and again beside the worker, and so loads little besides the standard library."""

import re
import socket
import time
from contextlib import suppress

import click

from worker.cli.refused import Refused
from worker.environment import admin_addresses

TIMEOUT = 3.0  # seconds for all of an answer; below the 5 that the image's health check has
MAX_ANSWER = 16_384  # bytes
TRIES = 5  # where the connection is closed before all has come: so many asked at once that we had to make room
PAUSE = 0.1  # seconds before the next

_content_length = re.compile(rb"^content-length:[ \t]*(\d{1,9})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE).search

# Where a server that listens everywhere can be reached from its own machine.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (nothing is bound to it)
_OK = 200


@click.command
@click.option("--ready", is_flag=True, help="Ask whether it can write to the database, instead of whether it is alive.")
def health(ready: bool) -> None:
    """Say whether the worker on this machine is alive; exit status 1 if not.

    Asks the worker at ADMIN_ADDRESS (127.0.0.1:9090), and each of its processes where PROCESSES says that there are
    more. A worker is alive while all its threads turn: one that waits for the database is, one that hangs is not. With
    --ready, one that waits for the database is not ready. This is the image's HEALTHCHECK.

    \b
    Examples:
      signup-sync health
      signup-sync health --ready
      ADMIN_ADDRESS=127.0.0.1:9091 signup-sync health
    """
    try:
        addresses = admin_addresses()
    except ValueError as error:
        raise Refused(str(error)) from None
    if not addresses:
        raise Refused("ADMIN_ADDRESS is off, so that nobody can ask the worker")
    path = "/readyz" if ready else "/livez"
    answers = [_ask(_EVERYWHERE.get(host, host), port, path) for host, port in addresses]
    bad = [line for status, line in answers if status != _OK]
    click.echo("\n".join(bad or [answers[0][1]]))
    raise SystemExit(1 if bad else 0)


def _ask(host: str, port: int, path: str) -> tuple[int, str]:
    """The status and the first line of the answer; status 0 if there is none."""
    asked = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = f"GET {path} HTTP/1.0\r\nHost: {asked}\r\n\r\n".encode()
    try:
        return _parse(_exchange(host, port, request, time.monotonic() + TIMEOUT))
    except TimeoutError:
        return 0, f"no answer from {asked} in {TIMEOUT:g} seconds"
    except OSError as error:
        return 0, f"no worker at {asked}: {error.strerror or error}"
    except ValueError:
        return 0, f"no worker at {asked}: what answers there is none"


def _exchange(host: str, port: int, request: bytes, until: float) -> bytes:
    """The answer. Raises `OSError`, `TimeoutError` among others."""
    for _ in range(TRIES):
        with socket.create_connection((host, port), TIMEOUT) as connection, suppress(ConnectionResetError):
            connection.sendall(request)
            answer = _read(connection, until)
            if not _is_cut(answer):
                return answer
        time.sleep(PAUSE)
    raise OSError("connections are closed without an answer")


def _read(connection: socket.socket, until: float) -> bytes:
    """What comes until the other side closes the connection. Raises `TimeoutError` and other `OSError`s."""
    answer = b""
    while len(answer) < MAX_ANSWER:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(MAX_ANSWER)
        if not part:
            break
        answer += part
    return answer


def _is_cut(answer: bytes) -> bool:
    """Whether there is more of it, or all of it, that did not come."""
    head, end, content = answer.partition(b"\r\n\r\n")
    if len(answer) >= MAX_ANSWER:
        return False
    if not end:
        return b"HTTP/1.".startswith(answer[:7])
    length = _content_length(head)
    return length is not None and len(content) < int(length[1])


def _parse(answer: bytes) -> tuple[int, str]:
    """The status and the first line of the content. Raises `ValueError` for what is no HTTP."""
    head, _, content = answer.partition(b"\r\n\r\n")
    version, status, *_ = head.split(None, 2)
    if not version.startswith(b"HTTP/1."):
        raise ValueError
    return int(status), content.decode(errors="replace").partition("\n")[0]
