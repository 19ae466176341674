"""SQS fails, in all its ways: the worker tries again with backoff, neither loses a message nor keeps SQS busy."""

import time
from collections.abc import Iterator

import pytest

from tests.support.events import sign_up
from tests.support.fault_proxy import ANY, FaultProxy
from tests.support.sqs import Queues
from tests.support.tables import names
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker

RECOVERY = 60.0  # seconds


@pytest.fixture
def sqs(queues: Queues) -> Iterator[FaultProxy]:
    with FaultProxy(queues.endpoint_url, seed=3) as proxy:
        yield proxy


def assert_all_settled(queues: Queues, database_url: str, expected: set[str]) -> None:
    wait_until(lambda: names(database_url) == expected, RECOVERY, "the rows are not there")
    wait_until(lambda: not sum(queues.counts()), RECOVERY, "the queue is not empty")


@pytest.mark.parametrize(
    "error",
    [
        {"status": 400, "code": "ThrottlingException"},
        {"status": 403, "code": "RequestThrottled"},
        {"status": 500, "code": "InternalFailure"},
        {"status": 503, "code": "ServiceUnavailable"},
        {"status": 403, "code": "ExpiredTokenException"},
    ],
    ids=lambda error: error["code"],
)
def test_every_call_fails_for_a_while(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker, error: dict[str, str | int]
) -> None:
    worker = start_worker(endpoint_url=sqs.endpoint_url)
    queues.send(sign_up("before"))
    assert_all_settled(queues, database_url, {"before"})

    calls = len(sqs.log)
    sqs.fail(ANY, **error)  # type: ignore[arg-type]
    queues.send(*(sign_up(f"user{n}") for n in range(20)))
    worker.wait_for("receive_failed")
    time.sleep(3)
    during = len(sqs.log) - calls
    sqs.clear()

    assert_all_settled(queues, database_url, {"before", *(f"user{n}" for n in range(20))})
    worker.wait_for("receive_recovered")
    # With backoff it is a handful; a busy loop would make thousands.
    assert during < 60
    assert len(worker.events("receive_failed")) == 1
    assert queues.dead_letter_count() == 0


@pytest.mark.parametrize("action", ["DeleteMessageBatch", "SendMessageBatch", "ChangeMessageVisibilityBatch"])
def test_a_part_of_every_batch_call_fails(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker, action: str
) -> None:
    sqs.fail_entries(action, 0.5, times=20)
    expected = {f"user{n}" for n in range(50)}
    queues.send(*map(sign_up, expected), *(f"broken {n}" for n in range(20)))

    start_worker(endpoint_url=sqs.endpoint_url)

    assert_all_settled(queues, database_url, expected)
    assert sorted(letter.body for letter in queues.dead_letters()) == sorted(f"broken {n}" for n in range(20))


def test_deletes_that_took_effect_unseen_are_no_error(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker
) -> None:
    sqs.drop_response("DeleteMessageBatch", times=3)
    expected = {f"user{n}" for n in range(30)}
    queues.send(*map(sign_up, expected))

    worker = start_worker(endpoint_url=sqs.endpoint_url)

    assert_all_settled(queues, database_url, expected)
    assert queues.dead_letter_count() == 0
    assert worker.running


def test_a_dead_letter_that_cannot_be_sent_is_kept(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker
) -> None:
    sqs.fail("SendMessageBatch", status=403, code="AccessDeniedException")
    queues.send("broken", sign_up("ada"))
    worker = start_worker(endpoint_url=sqs.endpoint_url)
    worker.wait_for("acknowledge_failed")
    wait_until(lambda: names(database_url) == {"ada"}, RECOVERY, "the neighbour is not there")
    wait_until(lambda: sum(queues.counts()) == 1, RECOVERY, "the broken one is not kept")
    assert queues.dead_letter_count() == 0

    sqs.clear()

    wait_until(lambda: queues.dead_letter_count() == 1, RECOVERY, "it is not in the dead-letter queue")
    assert_all_settled(queues, database_url, {"ada"})


def test_calls_that_get_no_answer_are_given_up(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker
) -> None:
    worker = start_worker(endpoint_url=sqs.endpoint_url)
    sqs.hang(ANY)
    queues.send(*(sign_up(f"user{n}") for n in range(5)))
    worker.wait_for("receive_failed", timeout=40)
    sqs.clear()

    assert_all_settled(queues, database_url, {f"user{n}" for n in range(5)})


def test_connections_are_cut_at_random(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker
) -> None:
    sqs.drop_request(ANY, probability=0.1)
    sqs.drop_response("DeleteMessageBatch", probability=0.2)
    start_worker(endpoint_url=sqs.endpoint_url, wait=False).wait_for("started", timeout=30)
    expected = {f"user{n}" for n in range(100)}

    queues.send(*map(sign_up, expected))

    assert_all_settled(queues, database_url, expected)
    assert queues.dead_letter_count() == 0


def test_an_empty_queue_costs_one_call_a_long_poll(
    sqs: FaultProxy, start_worker: StartWorker, database_url: str
) -> None:
    worker = start_worker(endpoint_url=sqs.endpoint_url, RECEIVE_WAIT_SECONDS="3")
    worker.wait_for("opened")
    before = sqs.calls["ReceiveMessage"]

    time.sleep(7)

    assert sqs.calls["ReceiveMessage"] - before <= 3
    assert names(database_url) == set()


def test_once_on_an_empty_queue_takes_one_receive(sqs: FaultProxy, start_worker: StartWorker) -> None:
    worker = start_worker("--once", endpoint_url=sqs.endpoint_url, RECEIVE_WAIT_SECONDS="20")

    assert worker.wait() == 0
    assert sqs.calls["ReceiveMessage"] == 1
