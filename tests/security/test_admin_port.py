"""The admin port of a running worker, attacked: the health check goes on, so that nobody has the worker restarted."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.support.admin import ADMIN, address
from tests.support.invoke import invoke
from tests.support.worker_process import StartWorker

ATTACKERS = 48  # three times as many as have a place
ATTACK = 6.0  # seconds, longer than a client has


@contextmanager
def dripping(host: str, port: int, source: str) -> Iterator[None]:
    """Clients that ask a byte at a time, and come back as soon as they are hung up on."""
    over = threading.Event()

    def drip() -> None:
        while not over.is_set():
            with (
                suppress(OSError),
                socket.create_connection((host, port), timeout=10, source_address=(source, 0)) as client,
            ):
                client.settimeout(0.5)
                client.sendall(b"GET /livez HTTP/1.0\r\nX: ")
                while not over.wait(0.3):
                    client.sendall(b"x")

    threads = [threading.Thread(target=drip) for _ in range(ATTACKERS)]
    with ExitStack() as stack:
        for thread in threads:
            stack.callback(thread.join)
            thread.start()
        stack.callback(over.set)  # first
        yield


@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.0.1"], ids=["from elsewhere", "from this machine"])
def test_clients_that_never_end_asking_do_not_make_the_worker_seem_dead(start_worker: StartWorker, source: str) -> None:
    worker = start_worker(**ADMIN)
    host, _, port = address(worker).partition(":")
    said = []
    with dripping(host, int(port), source):
        until = time.monotonic() + ATTACK
        while time.monotonic() < until:
            said.append(invoke("health", environment={"ADMIN_ADDRESS": address(worker)}))

    assert {(one.returncode, one.stdout) for one in said} == {(0, "alive\n")}
