"""Several workers as one: they share the queue, and start, stop and fail together."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.events import sign_up
from tests.support.invoke import invoke
from tests.support.ports import free_ports
from tests.support.sqs import Queues
from tests.support.tables import names
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess, worker_environment

START_LIMIT = 60.0  # seconds
STOP_LIMIT = 60.0  # seconds: the 25 that a worker promises, and a slow machine

NAMES = {f"user{n}" for n in range(200)}


def children(worker: WorkerProcess) -> list[int]:
    tasks = Path(f"/proc/{worker.pid}/task").glob("*/children")
    return sorted(int(child) for task in tasks for child in task.read_text().split())


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc (Linux)")


@pytest.fixture
def start_stubs(queues: Queues) -> Iterator[Callable[..., WorkerProcess]]:
    """Start a supervisor of two that talk like workers and do nothing: `start_stubs("--busy")`."""
    with ExitStack() as stack:

        def start(*args: str) -> WorkerProcess:
            environment = worker_environment("dbname=none", queues)
            module = "tests.support.stub_supervisor"
            supervisor = stack.enter_context(WorkerProcess(*args, environment=environment, module=module))
            supervisor.wait_for("started", START_LIMIT, nth=2)
            return supervisor

        yield start


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or would be if its parent looked."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_all_work_and_answer_and_stop(queues: Queues, database_url: str, start_worker: StartWorker) -> None:
    first, second, third = free_ports(3)
    settings = {"ADMIN_ADDRESS": f"127.0.0.1:{first}", "PROCESSES": "2"}
    worker = start_worker(wait=False, **settings)
    worker.wait_for("started", START_LIMIT, nth=2)
    queues.send(*map(sign_up, sorted(NAMES)))
    wait_until(lambda: names(database_url) == NAMES, 60, "not all rows are there")

    assert {line["admin_address"] for line in worker.events("started")} == {
        f"127.0.0.1:{port}" for port in (first, second)
    }
    said = invoke("health", environment=settings)
    assert (said.returncode, said.stdout) == (0, "alive\n")
    said = invoke("health", environment={**settings, "PROCESSES": "3"})
    assert (said.returncode, said.stdout) == (1, f"no worker at 127.0.0.1:{third}: Connection refused\n")
    worker.terminate()

    assert worker.wait(STOP_LIMIT) == 0
    assert [line["clean"] for line in worker.events("stopped")] == [True, True]
    assert len({line["pid"] for line in worker.events("stopped")}) == 2
    assert all("pid" in line for line in worker.events("batch_committed"))
    assert queues.counts() == (0, 0, 0)


@needs_proc
def test_a_signal_while_they_start_stops_them_cleanly(start_worker: StartWorker) -> None:
    worker = start_worker("--processes", "2", wait=False)
    wait_until(lambda: len(children(worker)) == 2, 60, "they are not there")

    worker.interrupt()

    assert worker.wait(STOP_LIMIT) == 0, worker
    assert worker.events("process_failed") == []
    assert "Aborted" not in worker.stderr


def test_all_stop_when_the_queue_is_empty(queues: Queues, database_url: str, start_worker: StartWorker) -> None:
    queues.send(*map(sign_up, sorted(NAMES)))

    worker = start_worker("--processes", "2", "--once", wait=False)

    assert worker.wait(START_LIMIT + STOP_LIMIT) == 0
    assert names(database_url) == NAMES


@needs_proc
def test_none_outlives_the_first_process(start_stubs: Callable[..., WorkerProcess]) -> None:
    supervisor = start_stubs()
    workers = children(supervisor)
    assert len(workers) == 2

    supervisor.kill()

    wait_until(lambda: all(map(has_ended, workers)), STOP_LIMIT, "a worker goes on")


def test_a_worker_that_is_supervised_stops_when_its_standard_input_ends(start_worker: StartWorker) -> None:
    worker = start_worker("--supervised", wait=False)  # there is no standard input

    assert worker.wait(STOP_LIMIT) == 0
    assert worker.wait_for("stopped")["clean"] is True


@needs_proc
def test_one_that_is_killed_takes_the_others_with_it(start_stubs: Callable[..., WorkerProcess]) -> None:
    supervisor = start_stubs()

    os.kill(children(supervisor)[0], signal.SIGKILL)

    assert supervisor.wait(STOP_LIMIT) == 1
    assert supervisor.wait_for("process_failed")["exit_status"] == -signal.SIGKILL
    assert len(supervisor.events("stopped")) == 1


@pytest.mark.parametrize(("signal_name", "number"), [("terminate", signal.SIGTERM), ("interrupt", signal.SIGINT)])
def test_each_signal_is_passed_on_and_a_second_one_ends_all_at_once(
    start_stubs: Callable[..., WorkerProcess], signal_name: str, number: int
) -> None:
    supervisor = start_stubs("--busy")
    getattr(supervisor, signal_name)()
    supervisor.wait_for("stopping", STOP_LIMIT, nth=2)
    assert [line["signal"] for line in supervisor.events("stopping")] == [number] * 2

    getattr(supervisor, signal_name)()

    assert supervisor.wait(STOP_LIMIT) == 128 + number


def test_what_is_wrong_is_said_once(queues: Queues, start_worker: StartWorker) -> None:
    worker = start_worker("--processes", "2", wait=False, QUEUE_URL=queues.events_url + "-none")

    assert worker.wait() == 2
    assert worker.stderr.count("\n") == 1
    assert "queue" in worker.stderr
