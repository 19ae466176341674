"""Several workers as one: they share the queue, and start, stop and fail together."""

import json
import os
import signal
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.support import command
from tests.support.events import sign_up
from tests.support.ports import free_port
from tests.support.sqs import Queues
from tests.support.tables import names
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess

STOP_LIMIT = 30  # seconds: the 25 that a worker promises, and a slow machine

NAMES = {f"user{n}" for n in range(200)}


def children(worker: WorkerProcess) -> list[int]:
    tasks = Path(f"/proc/{worker.pid}/task").glob("*/children")
    return sorted(int(child) for task in tasks for child in task.read_text().split())


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc (Linux)")


def two(start_worker: StartWorker, *args: str, **settings: str) -> WorkerProcess:
    worker = start_worker("--processes", "2", *args, **settings)
    worker.wait_for("started", nth=2)
    return worker


@pytest.fixture
def pair(start_worker: StartWorker) -> WorkerProcess:
    return two(start_worker)


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or would be if its parent looked."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("signal_name", ["terminate", "interrupt"])
def test_all_work_and_all_stop(queues: Queues, database_url: str, pair: WorkerProcess, signal_name: str) -> None:
    queues.send(*map(sign_up, sorted(NAMES)))
    wait_until(lambda: names(database_url) == NAMES, 30, "not all rows are there")

    getattr(pair, signal_name)()

    assert pair.wait(STOP_LIMIT) == 0
    assert [line["clean"] for line in pair.events("stopped")] == [True, True]
    assert queues.counts() == (0, 0, 0)


@needs_proc
@pytest.mark.parametrize("signal_name", ["terminate", "interrupt"])
def test_a_signal_while_they_start_stops_them_cleanly(start_worker: StartWorker, signal_name: str) -> None:
    worker = start_worker("--processes", "2", wait=False)
    wait_until(lambda: len(children(worker)) == 2, 20, "they are not there")

    getattr(worker, signal_name)()

    assert worker.wait(STOP_LIMIT) == 0, worker
    assert worker.events("process_failed") == []
    assert "Aborted" not in worker.stderr


def test_all_stop_when_the_queue_is_empty(queues: Queues, database_url: str, start_worker: StartWorker) -> None:
    queues.send(*map(sign_up, sorted(NAMES)))

    worker = two(start_worker, "--once")

    assert worker.wait(60) == 0
    assert names(database_url) == NAMES


@needs_proc
def test_one_that_is_killed_takes_the_others_with_it(
    queues: Queues, database_url: str, start_worker: StartWorker
) -> None:
    worker = two(start_worker, VISIBILITY_TIMEOUT_SECONDS="2")
    queues.send(*map(sign_up, sorted(NAMES)))

    os.kill(children(worker)[0], signal.SIGKILL)

    assert worker.wait(STOP_LIMIT) == 1
    assert worker.wait_for("process_failed")["exit_status"] == -signal.SIGKILL
    start_worker()
    wait_until(lambda: names(database_url) == NAMES, 30, "something is lost")


@needs_proc
def test_none_outlives_the_first_process(pair: WorkerProcess) -> None:
    workers = children(pair)
    assert len(workers) == 2

    pair.kill()

    wait_until(lambda: all(map(has_ended, workers)), STOP_LIMIT, "a worker goes on")


def test_a_second_signal_ends_all_at_once(start_worker: StartWorker) -> None:
    worker = two(start_worker, RECEIVE_WAIT_SECONDS="20")
    wait_until(lambda: len(worker.events("opened")) == 2, 20, "the database is not open")
    worker.terminate()
    worker.wait_for("stopping", nth=2)

    worker.terminate()

    assert worker.wait(STOP_LIMIT) == 128 + signal.SIGTERM


def test_each_has_an_admin_server_and_health_asks_all(start_worker: StartWorker) -> None:
    first = free_port()
    second = first + 1
    settings = {"ADMIN_ADDRESS": f"127.0.0.1:{first}", "PROCESSES": "2"}
    worker = start_worker(**settings)
    worker.wait_for("started", nth=2)

    for port in (first, second):
        with urlopen(f"http://127.0.0.1:{port}/status") as answer:
            assert json.load(answer)["received_total"] == 0
    environment = command.command_environment(settings)
    said = command.run("health", environment=environment)
    assert (said.returncode, said.stdout) == (0, "alive\n")
    said = command.run("health", environment={**environment, "PROCESSES": "3"})
    assert (said.returncode, said.stdout) == (1, f"no worker at 127.0.0.1:{second + 1}: Connection refused\n")


def test_what_is_wrong_is_said_once(queues: Queues, start_worker: StartWorker) -> None:
    worker = start_worker("--processes", "2", wait=False, QUEUE_URL=queues.events_url + "-none")

    assert worker.wait() == 2
    assert worker.stderr.count("\n") == 1
    assert "queue" in worker.stderr
