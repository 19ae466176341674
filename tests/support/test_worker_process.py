import os
import signal

import pytest

from tests.support.sqs import Queues
from tests.support.worker_process import WorkerProcess, worker_environment

STUB = "tests.support.stub_worker"
DATABASE_URL = "postgresql://postgres@127.0.0.1/test"


@pytest.fixture
def environment(queues: Queues) -> dict[str, str]:
    return worker_environment(DATABASE_URL, queues, settings={"RECEIVE_WAIT_SECONDS": "1"})


def test_the_log_is_read_as_it_is_written(environment: dict[str, str]) -> None:
    with WorkerProcess("run", "--once", environment=environment, module=STUB) as worker:
        started = worker.wait_for("started")
        assert started["arguments"] == ["run", "--once"]
        assert worker.lines == ["no JSON"]
        assert worker.events("stopped") == []

        worker.terminate()

        worker.wait_for("stopped")
        assert worker.wait() == 0
        assert [line["event"] for line in worker.log] == ["started", "stopped"]


def test_the_environment_is_clean(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    with WorkerProcess(environment=environment, module=STUB) as worker:
        variables = set(worker.wait_for("started")["variables"])

    assert {"DATABASE_URL", "QUEUE_URL", "DLQ_URL", "AWS_ENDPOINT_URL_SQS", "RECEIVE_WAIT_SECONDS"} <= variables
    assert "AWS_PROFILE" not in variables


def test_a_worker_goes_through_a_proxy_when_told(queues: Queues) -> None:
    environment = worker_environment(DATABASE_URL, queues, endpoint_url="http://127.0.0.1:1")

    assert environment["AWS_ENDPOINT_URL_SQS"] == "http://127.0.0.1:1"
    assert environment["QUEUE_URL"] == queues.events_url


def test_waiting_for_a_line_that_does_not_come_shows_the_log(environment: dict[str, str]) -> None:
    with WorkerProcess(environment=environment, module=STUB) as worker:
        worker.wait_for("started")
        with pytest.raises(AssertionError, match=r"'started' 1 times: waited 0.1 s(.|\n)*no JSON"):
            worker.wait_for("started", timeout=0.1, nth=2)


def test_waiting_ends_when_the_worker_exits(environment: dict[str, str]) -> None:
    del environment["QUEUE_URL"]
    with WorkerProcess(environment=environment, module=STUB) as worker:
        with pytest.raises(AssertionError, match=r"it has exited(.|\n)*QUEUE_URL is missing"):
            worker.wait_for("started")
        assert worker.wait() == 2
        assert worker.stderr == "QUEUE_URL is missing\n"


def test_the_end_of_the_block_kills_it(environment: dict[str, str]) -> None:
    with WorkerProcess(environment=environment, module=STUB) as worker:
        worker.wait_for("started")

    assert not worker.running
    assert worker.wait() == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)
