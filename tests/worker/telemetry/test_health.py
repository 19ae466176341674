"""A worker that hangs is noticed; one that waits for the database is well."""

import socket
import subprocess
from collections.abc import Callable

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


def test_a_worker_that_listens_everywhere_is_asked_on_its_own_machine() -> None:
    with running_telemetry(worker_settings(ADMIN_ADDRESS="0.0.0.0:0")) as telemetry:
        assert telemetry.address.startswith("0.0.0.0:")
        assert health(telemetry.address).returncode == 0


def test_a_worker_that_does_not_listen_cannot_be_asked() -> None:
    said = health("off")

    assert said.returncode == 2
    assert said.stderr == "signup-sync: ADMIN_ADDRESS is off, so that nobody can ask the worker\n"
