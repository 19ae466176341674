"""SQS fails over HTTP, beside what `tests/worker/pipeline/test_calls_failing.py` has in memory."""

import time
from collections import Counter
from contextlib import closing

import pytest

from tests.support.command import command_environment, run
from tests.support.dlq import Dlq
from tests.support.events import activity, sign_up
from tests.support.fault_proxy import ANY, FaultProxy
from tests.support.sqs import Queues, aws_environment
from tests.support.tables import activities, names
from tests.support.user_pool import LIST_USERS, AdministratedPool, cognito_environment
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker

BACK = 60.0  # seconds
PARENT = "00000000-0000-0000-0000-000000000001"


def assert_settled(queues: Queues, database_url: str, expected: set[str]) -> None:
    wait_until(lambda: names(database_url) == expected, BACK, "the rows are not there")
    wait_until(lambda: not sum(queues.counts()), BACK, "the queue is not empty")


def test_a_queue_that_was_deleted_is_asked_for_until_it_is_there_again(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker
) -> None:
    worker = start_worker(endpoint_url=sqs.endpoint_url)
    queues.send(sign_up("before"))
    assert_settled(queues, database_url, {"before"})

    queues.client.delete_queue(QueueUrl=queues.events_url)
    failed = worker.wait_for("receive_failed")
    assert "NonExistentQueue" in failed["code"] or "QueueDoesNotExist" in failed["code"]
    name = queues.events_url.rpartition("/")[2]
    calls = len(sqs.log)
    wait_until(lambda: len(sqs.log) >= calls + 3, BACK, "nobody asks again")
    queues.client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "2"})
    queues.send(sign_up("after"))

    assert_settled(queues, database_url, {"before", "after"})
    assert worker.running


@pytest.mark.parametrize(
    "action", ["ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "SendMessageBatch"]
)
def test_a_permission_that_is_withdrawn_and_given_back(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker, action: str
) -> None:
    worker = start_worker(endpoint_url=sqs.endpoint_url, MAX_ATTEMPTS="20")
    worker.wait_for("opened")
    sqs.fail(action, status=403, code="AccessDeniedException")
    expected = {f"user{n}" for n in range(20)}
    queues.send(*map(sign_up, expected), "broken", activity("late", id=PARENT))
    # Each of the messages needs one of the calls, so whichever is forbidden is missed.
    worker.wait_for("receive_failed" if action == "ReceiveMessage" else "acknowledge_failed")

    sqs.clear()
    queues.send(sign_up("late"))

    assert_settled(queues, database_url, {"late", *expected})
    assert [str(row[0]) for row in activities(database_url)] == [PARENT]
    assert {letter.body for letter in queues.dead_letters()} == {"broken"}
    assert worker.running


@pytest.mark.parametrize(
    "action", ["ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "SendMessageBatch"]
)
def test_an_answer_that_is_lost_after_the_call_took_effect(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker, action: str
) -> None:
    worker = start_worker(endpoint_url=sqs.endpoint_url, MAX_ATTEMPTS="20")
    worker.wait_for("opened")
    expected = {f"user{n}" for n in range(20)}
    sqs.drop_response(action, times=2)
    queues.send(*map(sign_up, expected), "broken", activity("late", id=PARENT))
    wait_until(lambda: expected <= names(database_url), BACK, "the rows are not there")
    queues.send(sign_up("late"), activity("late", reply_to=PARENT, id="00000000-0000-0000-0000-000000000002"))

    assert_settled(queues, database_url, {"late", *expected})
    assert {str(row[0]): row[3] for row in activities(database_url)}[PARENT] == 1
    dead = Counter(letter.body for letter in queues.dead_letters())
    assert set(dead) == {"broken"}
    # Sent again each time that nobody said that it had arrived.
    assert dead["broken"] <= (3 if action == "SendMessageBatch" else 1)


def test_everything_twice_and_in_any_order(
    queues: Queues, database_url: str, start_worker: StartWorker, sqs: FaultProxy
) -> None:
    """Two workers, and releases and deletes that fail for half of what they are about."""
    for action in ("DeleteMessageBatch", "ChangeMessageVisibilityBatch"):
        sqs.fail_entries(action, 0.5, probability=0.5)
    ids = [f"00000000-0000-0000-0000-{n:012}" for n in range(1, 41)]
    replies = [activity(f"user{n % 10}", id=ids[n], reply_to=ids[(n - 1) // 2]) for n in range(1, 40)]
    root = activity("user0", id=ids[0])
    # Leaves first, authors last, and everything twice.
    queues.send(*reversed(replies), root, *(sign_up(f"user{n}") for n in range(10)), *replies)
    for _ in range(2):
        start_worker(endpoint_url=sqs.endpoint_url, MAX_ATTEMPTS="30")

    assert_settled(queues, database_url, {f"user{n}" for n in range(10)})
    counts = {str(row[0]): row[3] for row in activities(database_url)}
    children = Counter(ids[(n - 1) // 2] for n in range(1, 40))
    assert counts == {id_: children[id_] for id_ in ids}
    assert queues.dead_letter_count() == 0


@pytest.mark.parametrize("skew", [-86_400, 86_400], ids=["a-day-behind", "a-day-ahead"])
def test_a_clock_that_is_wrong_changes_nothing(
    queues: Queues, database_url: str, start_worker: StartWorker, skew: int
) -> None:
    """Leases and backoff go by a clock that is never set; the time of a row is the event's."""
    worker = start_worker("worker", module="tests.faults.skewed_command", SKEW_SECONDS=str(skew))
    queues.send(activity("ada", id=PARENT), "broken")
    worker.wait_for("retried_later")
    queues.send(sign_up("ada"))

    assert_settled(queues, database_url, {"ada"})
    [letter] = queues.dead_letters()
    assert letter.attributes["failure_reason"] == "invalid_event"
    worker.terminate()
    assert worker.wait() == 0


def test_a_clock_that_aws_does_not_accept_is_an_outage_of_sqs(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker
) -> None:
    """AWS refuses signatures more than five minutes old, or early (IAM User Guide, "Signature Version 4")."""
    worker = start_worker(endpoint_url=sqs.endpoint_url)
    worker.wait_for("opened")
    sqs.fail(ANY, status=403, code="SignatureDoesNotMatch", message="Signature expired")
    queues.send(sign_up("ada"))
    assert worker.wait_for("receive_failed")["code"] == "SignatureDoesNotMatch"

    sqs.clear()

    assert_settled(queues, database_url, {"ada"})
    assert worker.running


def test_the_endpoint_is_away_and_comes_back(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker
) -> None:
    worker = start_worker(endpoint_url=sqs.endpoint_url)
    queues.send(*(sign_up(f"user{n}") for n in range(100)))
    worker.wait_for("batch_committed")

    sqs.down()
    worker.wait_for("receive_failed")
    sqs.up()

    assert_settled(queues, database_url, {f"user{n}" for n in range(100)})
    assert queues.dead_letter_count() == 0


@pytest.mark.parametrize("client", ["lean", "boto3"])
def test_half_an_answer_is_no_answer(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker, client: str
) -> None:
    """Cut in the middle of the messages: they are received again when their leases are over."""
    sqs.cut_response("ReceiveMessage", times=2)
    expected = {f"user{n}" for n in range(30)}
    queues.send(*map(sign_up, expected))

    start_worker(endpoint_url=sqs.endpoint_url, SQS_CLIENT=client).wait_for("receive_failed")

    assert_settled(queues, database_url, expected)
    assert queues.dead_letter_count() == 0


@pytest.mark.parametrize("client", ["lean", "boto3"])
def test_half_an_answer_does_not_hide_what_failed(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker, client: str
) -> None:
    """Some dead letters are not taken, and the answer that says so is cut off: their originals must stay."""
    broken = {f"broken {n}" for n in range(20)}
    sqs.cut_response("SendMessageBatch", times=3)
    sqs.fail_entries("SendMessageBatch", 0.5, times=3)
    queues.send(*broken)

    start_worker(endpoint_url=sqs.endpoint_url, SQS_CLIENT=client)

    assert_settled(queues, database_url, set())
    assert {letter.body for letter in queues.dead_letters()} == broken


def test_half_an_answer_does_not_lose_what_is_replayed(queues: Queues, sqs: FaultProxy) -> None:
    dlq = Dlq(queues)
    bodies = sorted(sign_up(f"user{n}") for n in range(20))
    dlq.fill(*bodies)
    sqs.cut_response("SendMessageBatch", times=1)
    sqs.fail_entries("SendMessageBatch", 0.5, times=1)

    done = Dlq(queues, sqs.endpoint_url).run("replay")

    assert "Traceback" not in done.stderr
    assert set(dlq.event_bodies()) | set(dlq.dead_bodies()) == set(bodies)


def test_half_an_answer_does_not_end_a_reconciliation_early(queues: Queues, sqs: FaultProxy, database_url: str) -> None:
    with closing(AdministratedPool.create(queues.endpoint_url)) as pool:
        pool.confirm("ada")
        sqs.cut_response(LIST_USERS, times=1)
        environment = command_environment(
            {
                "QUEUE_URL": queues.events_url,
                "DATABASE_URL": database_url,
                **aws_environment(queues.endpoint_url),
                **cognito_environment(sqs.endpoint_url),
            }
        )
        cut, whole = (run("reconcile", "--user-pool-id", pool.id, environment=environment) for _ in range(2))

    assert (cut.returncode, cut.stderr.count("\n")) == (2, 1)
    assert whole.returncode == 0
    assert queues.counts() == (1, 0, 0)


@pytest.mark.parametrize(
    "error",
    [
        {"status": 403, "code": "RequestThrottled"},
        {"status": 503, "code": "ServiceUnavailable"},
    ],
    ids=lambda error: error["code"],
)
def test_every_call_fails_for_a_while(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker, error: dict[str, str | int]
) -> None:
    worker = start_worker(endpoint_url=sqs.endpoint_url)
    queues.send(sign_up("before"))
    assert_settled(queues, database_url, {"before"})

    calls = len(sqs.log)
    sqs.fail(ANY, **error)  # type: ignore[arg-type]
    queues.send(*(sign_up(f"user{n}") for n in range(20)))
    worker.wait_for("receive_failed")
    time.sleep(3)
    during = len(sqs.log) - calls
    sqs.clear()

    assert_settled(queues, database_url, {"before", *(f"user{n}" for n in range(20))})
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

    assert_settled(queues, database_url, expected)
    assert sorted(letter.body for letter in queues.dead_letters()) == sorted(f"broken {n}" for n in range(20))


def test_calls_that_get_no_answer_are_given_up(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker
) -> None:
    worker = start_worker(endpoint_url=sqs.endpoint_url)
    sqs.hang(ANY)
    queues.send(*(sign_up(f"user{n}") for n in range(5)))
    worker.wait_for("receive_failed", timeout=40)
    sqs.clear()

    assert_settled(queues, database_url, {f"user{n}" for n in range(5)})


def test_connections_are_cut_at_random(
    queues: Queues, sqs: FaultProxy, database_url: str, start_worker: StartWorker
) -> None:
    sqs.drop_request(ANY, probability=0.1)
    sqs.drop_response("DeleteMessageBatch", probability=0.2)
    start_worker(endpoint_url=sqs.endpoint_url, wait=False).wait_for("started", timeout=30)
    expected = {f"user{n}" for n in range(100)}

    queues.send(*map(sign_up, expected))

    assert_settled(queues, database_url, expected)
    assert queues.dead_letter_count() == 0
