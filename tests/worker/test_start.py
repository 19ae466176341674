"""A worker that cannot work says why in one line, and exits with status 2."""

import pytest

from tests.support.events import sign_up
from tests.support.sqs import Queues, SqsServer, create_queues
from tests.support.tables import names
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "not a url", "QUEUE_URL": "x"}, "DATABASE_URL should be a URL"),
        ({"BATCH_SIZE": "many"}, "BATCH_SIZE should be a valid integer"),
        ({"AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:1"}, "is the endpoint right"),
        ({"QUEUE_URL": "http://127.0.0.1:1/123456789012/missing"}, "NonExistentQueue"),
    ],
)
def test_a_mistake_in_the_settings_is_named(
    start_worker: StartWorker, database_url: str, queues: Queues, settings: dict[str, str], line: str
) -> None:
    worker = start_worker(wait=False, database_url=database_url, queues=queues, **settings)

    assert worker.wait() == 2
    assert line in worker.stderr
    assert len(worker.stderr.splitlines()) == 1
    assert not worker.log


def test_a_queue_without_a_redrive_policy_is_refused(
    sqs_server: SqsServer, database_url: str, start_worker: StartWorker
) -> None:
    queues = create_queues(sqs_server.endpoint_url, max_receive_count=None)
    worker = start_worker(queues=queues, wait=False)
    assert worker.wait() == 2
    assert "no redrive policy" in worker.stderr

    queues.send(sign_up("ada"))
    start_worker(queues=queues, MAX_ATTEMPTS="3")

    wait_until(lambda: names(database_url) == {"ada"}, 20, "the row is not there")
    queues.close()


def test_the_same_queue_twice_is_refused(queues: Queues, start_worker: StartWorker) -> None:
    worker = start_worker(wait=False, DLQ_URL=queues.events_url)

    assert worker.wait() == 2
    assert "QUEUE_URL and DLQ_URL are the same queue" in worker.stderr
