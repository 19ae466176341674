"""Events that come before what they refer to wait for it, at the cost of a few receives."""

import time
import uuid
from collections.abc import Callable

import pytest

from tests.support.events import activity, sign_up
from tests.support.sqs import Queues
from tests.support.tables import activities
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess

PARENT, REPLY = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


pytestmark = pytest.mark.queues(max_receive_count=10)


def put_off(worker: WorkerProcess, event_id: str) -> list[str]:
    """Why this event was put off, each time."""
    return [line["reason"] for line in worker.events("retried_later") if line["event_id"] == event_id]


def written(database_url: str) -> set[str]:
    return {str(row[0]) for row in activities(database_url)}


def test_an_activity_is_written_as_soon_as_its_author_is(
    queues: Queues, database_url: str, start_worker: StartWorker
) -> None:
    worker = start_worker()
    queues.send(activity("ada", id=PARENT))
    worker.wait_for("retried_later", nth=4)

    queues.send(sign_up("ada"))

    wait_until(lambda: written(database_url) == {PARENT}, 30, "the activity is not there")
    assert set(put_off(worker, PARENT)) == {"unknown_author"}
    assert len(put_off(worker, PARENT)) <= 5
    assert queues.dead_letter_count() == 0


def test_a_reply_is_written_as_soon_as_its_parent_is(
    queues: Queues, database_url: str, start_worker: StartWorker
) -> None:
    worker = start_worker()
    queues.send(sign_up("ada"), activity("ada", id=REPLY, reply_to=PARENT))
    worker.wait_for("retried_later", nth=3)

    queues.send(activity("ada", id=PARENT))

    wait_until(lambda: written(database_url) == {PARENT, REPLY}, 30, "the reply is not there")
    assert set(put_off(worker, REPLY)) == {"unknown_parent"}
    replies = {str(row[0]): row[3] for row in activities(database_url)}
    assert replies == {PARENT: 1, REPLY: 0}
    assert queues.dead_letter_count() == 0


def test_another_worker_writes_the_author(queues: Queues, database_url: str, start_worker: StartWorker) -> None:
    """Nobody wakes the activity then: it comes back by itself."""
    queues.send(activity("ada", id=PARENT))
    worker = start_worker()
    worker.wait_for("retried_later", nth=2)
    worker.terminate()
    assert worker.wait() == 0
    queues.send(sign_up("ada"))

    start_worker()

    wait_until(lambda: written(database_url) == {PARENT}, 30, "the activity is not there")
    assert queues.dead_letter_count() == 0


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (activity("nobody", id=PARENT), "unknown_author"),
        (activity("ada", id=REPLY, reply_to=PARENT), "unknown_parent"),
    ],
)
def test_the_last_attempt_is_dead_with_its_reason(
    queues: Queues, drain: Callable[..., WorkerProcess], start_worker: StartWorker, event: str, reason: str
) -> None:
    queues.send(sign_up("ada"))
    drain()
    queues.send(event)

    start_worker(MAX_ATTEMPTS="1")

    wait_until(queues.dead_letter_count, 20, "it is not dead")
    [letter] = queues.dead_letters()
    assert letter.body == event
    assert letter.attributes["failure_reason"] == reason
    assert letter.attributes["receive_count"] == "1"


@pytest.mark.slow
def test_an_author_who_arrives_two_minutes_later(queues: Queues, database_url: str, start_worker: StartWorker) -> None:
    """The other tests' story at its real length, and with the waking done by nobody."""
    queues.send(activity("ada", id=PARENT), activity("bob", id=REPLY, reply_to=PARENT))
    worker = start_worker()
    # Six waits each, which are a minute; the seventh is another one.
    wait_until(lambda: len(worker.events("retried_later")) >= 14, 200, "they were not put off")
    worker.terminate()
    assert worker.wait() == 0
    time.sleep(60)
    queues.send(sign_up("ada"), sign_up("bob"))

    start_worker()

    wait_until(lambda: written(database_url) == {PARENT, REPLY}, 300, "the activities are not there")
    assert queues.dead_letter_count() == 0
