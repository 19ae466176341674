"""Whatever strangers send, nothing dies, nothing is answered with an error of ours, and memory has an end."""

import os
import random

import pytest

from tests.security.fuzzer import Fuzzer, run
from tests.support.dlq import Dlq
from tests.support.ports import free_ports
from tests.support.sqs import Queues
from tests.support.worker_process import StartWorker, worker_environment
from tests.worker.console.running_console import ConsoleProcess

SEED = int(os.environ.get("FAULTS_SEED") or 1)
SHORT = 20.0  # seconds
LONG = float(os.environ.get("FAULTS_FUZZING_SECONDS") or 600)


@pytest.mark.faults
@pytest.mark.process
@pytest.mark.parametrize("seconds", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)])
def test_fuzzed_everywhere_all_goes_on(
    queues: Queues,
    dlq: Dlq,
    start_worker: StartWorker,
    database_url: str,
    seconds: float,
) -> None:
    [port] = free_ports(1)
    worker = start_worker(ADMIN_ADDRESS=f"127.0.0.1:{port}")
    settings = {"WORKER_URLS": f"http://127.0.0.1:{port}", "CONSOLE_REFRESH_SECONDS": "5"}
    with ConsoleProcess(worker_environment(database_url, queues, settings=settings)) as console:
        fuzzer = Fuzzer(queues, dlq, worker, f"127.0.0.1:{port}", console, random.Random(SEED))

        run(fuzzer, seconds, print)  # the figures are what it is run for
