"""A running console, attacked by those who have no token: it stays small, and answers those who have one."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from tests.support.sqs import Queues
from tests.support.worker_process import worker_environment
from tests.worker.console.operator import Operator
from tests.worker.console.running_console import ConsoleProcess

pytestmark = pytest.mark.process

KEY = "correct-horse-battery-staple-correct-horse"
LARGE = 8_388_608  # bytes of a form
GROWTH = 40_000  # kB, beyond which it is no longer small
TIMEOUT = 120.0  # seconds, far beyond every deadline


@pytest.fixture
def console(queues: Queues, database_url: str) -> Iterator[ConsoleProcess]:
    environment = worker_environment(database_url, queues, settings={"CONSOLE_TOKEN": KEY})
    with ConsoleProcess(environment) as running:
        Operator(running.address).log_in(KEY).get("/")  # so that all is loaded that ever is
        yield running


def connect(console: ConsoleProcess) -> socket.socket:
    parts = urlsplit(console.address)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=TIMEOUT)


def head(path: str, length: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode()


def peak(console: ConsoleProcess) -> int:
    """The most memory that it has had, in kB (proc(5), VmHWM)."""
    status = Path(f"/proc/{console.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="its memory is read from /proc")
def test_forms_without_a_session_take_no_memory_and_no_time(console: ConsoleProcess) -> None:
    before = peak(console)

    def send(client: socket.socket, path: str) -> None:
        with client:
            try:
                client.sendall(head(path, LARGE) + b"who=" + b"%41" * (LARGE // 3 - 2))
            except OSError:
                return  # hung up on

    with ExitStack() as stack:
        for path in ["/login", "/letters/act"] * 10:
            thread = Thread(target=send, args=(connect(console), path))
            stack.callback(thread.join)
            thread.start()
        assert Operator(console.address).log_in(KEY).get("/audit").status == 200

    assert peak(console) - before < GROWTH


@pytest.mark.faults
def test_connections_that_say_nothing_or_never_end_are_hung_up_on(console: ConsoleProcess) -> None:
    operator = Operator(console.address).log_in(KEY)
    begun = [
        b"",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
        b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /login HTT",
        head("/login", 100) + b"who=",
        head("/users", LARGE) + b"name=",
        head("/users", LARGE).replace(b"\r\n\r\n", f"\r\nCookie: {operator.cookie}\r\n\r\nname=".encode()),
    ]
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(console)) for _ in begun]
        for client, said in zip(clients, begun, strict=True):
            client.sendall(said)

        statuses = [read_to_end(client) for client in clients]

    assert statuses == [b"", b"", b"200", b"408", b"303", b"408"]
    assert operator.get("/audit").status == 200


def read_to_end(client: socket.socket) -> bytes:
    """The status of the first answer, as soon as the connection is closed."""
    received = b""
    while chunk := client.recv(65_536):
        received += chunk
    return received[9:12]
