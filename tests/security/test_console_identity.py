"""A running console behind a proxy, attacked by those who reach it without the proxy, and by a server of keys."""

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.security.test_console import GROWTH, peak
from tests.support.listener import Listener
from tests.support.sqs import Queues
from tests.support.worker_process import worker_environment
from tests.worker.console.identity.key_server import (
    ARN,
    AUDIENCE,
    BALANCER_KEY,
    CLAIMS,
    ISSUER_KEY,
    KEY_ID,
    KeyServer,
    balancer_token,
    forged,
    id_token,
    public_pem,
)
from tests.worker.console.operator import Operator
from tests.worker.console.running_console import ConsoleProcess

pytestmark = pytest.mark.process

TIMEOUT = 60.0  # seconds, far beyond every deadline


def environment(queues: Queues, database_url: str, **settings: str) -> dict[str, str]:
    return worker_environment(database_url, queues, settings=settings)


@pytest.fixture
def issuer() -> Iterator[KeyServer]:
    with KeyServer() as server:
        server.serve_issuer()
        yield server


def status(console: ConsoleProcess, *headers: tuple[str, str], path: str = "/audit") -> int:
    """Of a request with these headers, each of them as often as it is given."""
    connection = http.client.HTTPConnection(urlsplit(console.address).netloc, timeout=TIMEOUT)
    try:
        connection.putrequest("GET", path)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def test_nothing_that_anybody_can_forge_is_a_load_balancer(queues: Queues, database_url: str) -> None:
    head = {"kid": KEY_ID, "signer": ARN, "exp": time.time() + 3600}
    tokens = [
        forged("none", CLAIMS, b"", **head),
        forged("HS256", CLAIMS, public_pem(BALANCER_KEY), **head),
        balancer_token(signer=ARN.replace("ops", "evil")),
        balancer_token(exp=time.time() - 3600),
        balancer_token(kid=f"../{KEY_ID}"),
        balancer_token(kid="evil.example/"),
        "x" * 15_000,
        "." * 15_000,
    ]
    with ConsoleProcess(environment(queues, database_url, CONSOLE_ALB_ARN=ARN)) as console:
        statuses = {status(console, ("x-amzn-oidc-data", token)) for token in tokens}
        statuses |= {status(console, ("x-amzn-oidc-identity", "grace"), ("x-forwarded-user", "grace"))}
        statuses |= {status(console, path=path) for path in ("/", "/login", "/login?token=x")}
        console.terminate()
        assert console.wait() == 0

    assert statuses == {401}
    assert {line["outcome"] for line in console.log if line["event"] == "audit"} == {"refused"}
    assert "token=" not in console.stderr


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="its memory is read from /proc")
def test_who_names_keys_without_end_makes_few_be_fetched_and_keeps_nobody_out(
    queues: Queues, database_url: str, issuer: KeyServer
) -> None:
    settings = {"CONSOLE_OIDC_ISSUER": issuer.url, "CONSOLE_OIDC_AUDIENCE": AUDIENCE}
    claims = {**CLAIMS, "iss": issuer.url, "aud": AUDIENCE, "exp": 2**40}
    with ConsoleProcess(environment(queues, database_url, **settings)) as console:
        good = ("Authorization", f"Bearer {id_token(issuer.url)}")
        assert Operator(console.address).get("/", Authorization=good[1]).status == 200
        before = peak(console)

        bad = [forged("HS256", claims, public_pem(ISSUER_KEY), kid="first"), forged("none", claims, b"", kid="first")]
        bad += [id_token(issuer.url, key_id=str(number)) for number in range(100)]
        bad += [id_token(issuer.url, aud="another"), id_token("https://evil.example")]
        statuses = {status(console, ("Authorization", f"Bearer {token}")) for token in bad}

        assert statuses == {401}
        assert status(console, good, good) == 401
        assert status(console, good) == 200
        assert peak(console) - before < GROWTH
        console.terminate()
        assert console.wait() == 0
    assert len(issuer.asked) <= 4
    assert len([line for line in console.log if line.get("outcome") == "refused"]) < 20


def endless(connection: socket.socket) -> None:
    """Answers with 200 MB."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
    for _ in range(200):
        connection.sendall(b" " * 1_000_000)


def dripping(connection: socket.socket) -> None:
    """Answers a byte at a time, each of them in time."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize("handle", [endless, pytest.param(dripping, marks=pytest.mark.faults)])
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="its memory is read from /proc")
def test_a_server_of_keys_that_does_not_end_costs_little_and_opens_nothing(
    queues: Queues, database_url: str, handle: object
) -> None:
    assert callable(handle)
    listener = Listener(handle)
    with ExitStack() as stack:
        listener.up()
        stack.callback(listener.down)
        issuer = f"http://127.0.0.1:{listener.port}"
        settings = {"CONSOLE_OIDC_ISSUER": issuer, "CONSOLE_OIDC_AUDIENCE": AUDIENCE}
        console = stack.enter_context(ConsoleProcess(environment(queues, database_url, **settings)))
        assert status(console) == 401
        before = peak(console)

        assert [status(console, ("Authorization", f"Bearer {id_token(issuer)}")) for _ in range(5)] == [503] * 5

        assert status(console) == 401
        assert peak(console) - before < GROWTH
