"""A worker that hangs is noticed; one that waits for the database is well."""

import os
import signal
import subprocess
import time
from collections.abc import Callable

from db.migrations import migrate
from tests.support import command
from tests.support.admin import ADMIN, address, get, status
from tests.support.events import sign_up
from tests.support.postgres import Postgres
from tests.support.sqs import Queues
from tests.support.tcp_proxy import TcpProxy
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess

# Small limits, so that what is stuck is stuck soon.
IMPATIENT = {**ADMIN, "STUCK_AFTER_SECONDS": "1", "STATEMENT_TIMEOUT_MS": "300", "LOCK_TIMEOUT_MS": "300"}
NOTICED = 60.0  # seconds


def health(worker: WorkerProcess, *options: str) -> subprocess.CompletedProcess[str]:
    environment = command.command_environment({"ADMIN_ADDRESS": address(worker)})
    return command.run("health", *options, environment=environment)


def is_stuck(worker: WorkerProcess) -> Callable[[], bool]:
    return lambda: get(worker, "/livez").status == 503


def test_the_command_says_that_a_worker_is_alive(start_worker: StartWorker) -> None:
    said = health(start_worker(**ADMIN))

    assert (said.returncode, said.stdout, said.stderr) == (0, "alive\n", "")


def test_a_worker_that_waits_for_the_database_is_alive_and_not_ready(
    own_postgres: Postgres, queues: Queues, start_worker: StartWorker
) -> None:
    url = own_postgres.create_database("app")
    migrate(url)
    worker = start_worker(database_url=url, **IMPATIENT)
    wait_until(lambda: get(worker, "/readyz").status == 200, 20, "it is not ready")

    own_postgres.stop()
    queues.send(sign_up("ada"))
    paused = worker.wait_for("paused")
    time.sleep(5)  # several times as long as anything may be stuck

    assert health(worker).returncode == 0
    said = health(worker, "--ready")
    assert said.returncode == 1
    assert said.stdout == f"waiting for the database: {paused['reason']}\n"
    assert status(worker)["pause_reason"] == paused["reason"]
    assert status(worker)["paused_since"] is not None
    own_postgres.start()
    wait_until(lambda: health(worker, "--ready").returncode == 0, 30, "it is not ready again")


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

        said = health(worker)
        assert said.returncode == 1
        assert said.stdout.startswith("stuck: consumer-")

        network.cut()
        network.thaw()
        wait_until(lambda: health(worker).returncode == 0, NOTICED, "it is not alive again")


def test_a_process_that_stands_still_is_not_alive(start_worker: StartWorker) -> None:
    worker = start_worker(**ADMIN)
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        said = health(worker)
    finally:
        os.kill(worker.pid, signal.SIGCONT)

    assert said.returncode == 1
    assert said.stdout == f"no answer from {address(worker)} in 3 seconds\n"


def test_where_there_is_no_worker_none_is_alive(start_worker: StartWorker) -> None:
    worker = start_worker(**ADMIN)
    gone = address(worker)
    worker.terminate()
    worker.wait()

    said = health(worker)

    assert said.returncode == 1
    assert said.stdout == f"no worker at {gone}: Connection refused\n"


def test_a_worker_that_listens_everywhere_is_asked_on_its_own_machine(start_worker: StartWorker) -> None:
    worker = start_worker(ADMIN_ADDRESS="0.0.0.0:0")

    assert address(worker).startswith("0.0.0.0:")
    assert health(worker).returncode == 0


def test_a_worker_that_does_not_listen_cannot_be_asked() -> None:
    said = command.run("health", environment=command.command_environment({"ADMIN_ADDRESS": "off"}))

    assert said.returncode == 2
    assert said.stderr == "signup-sync: ADMIN_ADDRESS is off, so that nobody can ask the worker\n"
