"""A worker that hangs is noticed; one that waits for the database is well."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.support.admin import ADMIN, address, get
from tests.support.events import sign_up
from tests.support.invoke import invoke
from tests.support.postgres import Postgres
from tests.support.sqs import Queues
from tests.support.tcp_proxy import TcpProxy
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess
from tests.worker.telemetry.running_telemetry import running_telemetry, worker_settings
from worker.cli.commands.health import TRIES

# Small limits, so that what is stuck is stuck soon.
IMPATIENT = {**ADMIN, "STUCK_AFTER_SECONDS": "1", "STATEMENT_TIMEOUT_MS": "300", "LOCK_TIMEOUT_MS": "300"}
NOTICED = 60.0  # seconds


def health(admin_address: str, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return invoke("health", *options, environment={"ADMIN_ADDRESS": admin_address, **settings})


def is_stuck(worker: WorkerProcess) -> Callable[[], bool]:
    return lambda: get(worker, "/livez").status == 503


def test_the_command_says_that_a_worker_is_alive_and_whether_it_is_ready() -> None:
    with running_telemetry() as telemetry:
        telemetry.happens.paused("connection refused")
        telemetry.gate_is_open = False
        alive, waiting = health(telemetry.address), health(telemetry.address, "--ready")
        telemetry.happens.resumed()
        telemetry.gate_is_open = True
        ready = health(telemetry.address, "--ready")

    assert (alive.returncode, alive.stdout, alive.stderr) == (0, "alive\n", "")
    assert (waiting.returncode, waiting.stdout) == (1, "waiting for the database: connection refused\n")
    assert (ready.returncode, ready.stdout) == (0, "ready\n")


def test_the_command_says_that_a_worker_is_stuck_until_it_is_not() -> None:
    with running_telemetry() as telemetry:
        telemetry.happens.busy(-3600.0)  # as if it had begun long ago
        stuck = health(telemetry.address)
        telemetry.happens.idle()
        alive = health(telemetry.address)

    assert (stuck.returncode, stuck.stdout) == (1, "stuck: MainThread\n")
    assert alive.returncode == 0


def test_a_worker_that_hangs_in_a_dead_connection_is_stuck(
    postgres: Postgres, database_url: str, queues: Queues, start_worker: StartWorker
) -> None:
    with TcpProxy(postgres.port) as network:
        worker = start_worker(database_url=network.through(database_url), **IMPATIENT)
        queues.send(sign_up("before"))
        worker.wait_for("batch_committed")

        # The other end takes what is sent, and never answers: no time-out of ours or of the kernel's ends that.
        network.freeze()
        queues.send(sign_up("during"))
        wait_until(is_stuck(worker), NOTICED, "nobody notices")

        said = health(address(worker))
        assert said.returncode == 1
        assert said.stdout.startswith("stuck: consumer-")

        network.cut()
        network.thaw()
        wait_until(lambda: health(address(worker)).returncode == 0, NOTICED, "it is not alive again")


@pytest.mark.process  # the command waits for three seconds
def test_a_process_that_stands_still_is_not_alive() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # the kernel takes connections, and nobody answers
        asked = f"127.0.0.1:{listener.getsockname()[1]}"
        said = health(asked)

    assert said.returncode == 1
    assert said.stdout == f"no answer from {asked} in 3 seconds\n"


def test_where_there_is_no_worker_none_is_alive() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # so that nobody listens there meanwhile
        asked = f"127.0.0.1:{taken.getsockname()[1]}"
        said = health(asked)

    assert said.returncode == 1
    assert said.stdout == f"no worker at {asked}: Connection refused\n"


@pytest.mark.process  # it looks at what a process of its own has loaded
def test_the_command_loads_nothing_but_what_it_needs() -> None:
    """It runs every half minute in the worker's own share of a processor, of which libraries would take a second."""
    program = "import sys; from worker.__main__ import main\ntry: main()\nfinally: print(*sys.modules)"
    with running_telemetry() as telemetry:
        said = subprocess.run(
            [sys.executable, "-c", program, "health"],
            env={**os.environ, "ADMIN_ADDRESS": telemetry.address},
            check=True,
            capture_output=True,
            text=True,
        )

    alive, modules = said.stdout.splitlines()
    assert alive == "alive"
    assert not {"boto3", "botocore", "psycopg", "pydantic", "structlog", "http.client"} & set(modules.split())


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([b""] * TRIES, "connections are closed without an answer"),
        ([b"SSH-2.0-OpenSSH_9.6\r\n"], "what answers there is none"),
        ([b"HTTP/1.1 \r\n\r\n"], "what answers there is none"),
        ([b"x" * 100_000], "what answers there is none"),
    ],
)
def test_what_answers_as_no_worker_would_is_none(answers: list[bytes], said: str) -> None:
    with serving(answers) as asked:
        result = health(asked)

    assert (result.returncode, result.stdout) == (1, f"no worker at {asked}: {said}\n")


def test_the_command_asks_again_where_its_connection_made_room_for_others() -> None:
    answer = b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nalive\n"
    with serving([b"", answer[:9], answer[:-6], answer[:-1], answer]) as asked:
        result = health(asked)

    assert (result.returncode, result.stdout) == (0, "alive\n")


@contextmanager
def serving(answers: list[bytes]) -> Iterator[str]:
    """One connection after the other gets its answer; none is taken after the last."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    if connection.recv(1000):
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_malformed_address_is_named() -> None:
    said = health("9090")

    assert said.returncode == 2
    assert said.stderr == ("signup-sync: ADMIN_ADDRESS should be a host and a port, such as 127.0.0.1:9090, or off\n")


def test_a_worker_that_listens_everywhere_is_asked_on_its_own_machine() -> None:
    with running_telemetry(worker_settings(ADMIN_ADDRESS="0.0.0.0:0")) as telemetry:
        assert telemetry.address.startswith("0.0.0.0:")
        assert health(telemetry.address).returncode == 0


def test_a_worker_that_does_not_listen_cannot_be_asked() -> None:
    said = health("off")

    assert said.returncode == 2
    assert said.stderr == "signup-sync: ADMIN_ADDRESS is off, so that nobody can ask the worker\n"
