"""The console's copy of the dead letters: how old it may be."""

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.dlq import Dlq
from tests.support.events import sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import Queues, sqs_client
from tests.support.wait import wait_until
from worker.aws.sqs import Queue, Received
from worker.console.dead_letter_cache import MAX_BYTES, MAX_DETAIL, MAX_NAMED, DeadLetterCache, Gathered

AUDIENCE = 0.2  # seconds
WAIT = 30.0  # seconds


@pytest.fixture
def cache(queues: Queues) -> Iterator[DeadLetterCache]:
    cache = DeadLetterCache(Queue(queues.dlq_url, queues.client), interval=0.1, audience=AUDIENCE)
    cache.start()
    yield cache
    cache.stop()


def total(cache: DeadLetterCache) -> int:
    snapshot = cache.snapshot(WAIT)
    assert snapshot is not None
    return snapshot.total


def test_the_first_who_looks_again_is_not_shown_what_was_there_before(cache: DeadLetterCache, dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"))
    assert total(cache) == 1
    time.sleep(2 * AUDIENCE)  # nobody watches
    dlq.fill(sign_up("grace"), sign_up("linus"))

    assert total(cache) == 3


def test_who_wants_to_act_waits_for_a_look_that_begins_then(cache: DeadLetterCache, dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"))
    assert total(cache) == 1
    asked_at = time.time()
    dlq.fill(sign_up("grace"))

    snapshot = cache.snapshot_since(asked_at, WAIT)

    assert snapshot is not None
    assert snapshot.taken_at >= asked_at
    assert snapshot.total == 2


def test_of_a_message_that_is_long_where_a_page_shows_it_the_beginning_is_kept(
    cache: DeadLetterCache, dlq: Dlq
) -> None:
    [message_id] = dlq.fill("[" * 990 + "]" * 990, reason="r" * 1000, detail="d" * 100_000)

    snapshot = cache.snapshot(WAIT)

    assert snapshot is not None
    letter = snapshot.by_id[message_id]
    assert (letter.reason, letter.detail) == ("r" * MAX_NAMED, "d" * MAX_DETAIL)
    assert [(group.reason, group.detail) for group in snapshot.groups] == [("r" * MAX_NAMED, "d" * MAX_DETAIL)]


def test_an_answer_that_nobody_expects_is_said_and_the_next_look_happens(
    proxy: FaultProxy, dlq: Dlq, queues: Queues
) -> None:
    with closing(sqs_client(proxy.endpoint_url)) as client:
        cache = DeadLetterCache(Queue(queues.dlq_url, client), interval=0.1)
        cache.start()
        proxy.answer("ReceiveMessage", {"Messages": [{"MessageId": "x"}]}, times=1)
        dlq.fill(sign_up("ada"))
        assert cache.look_now(WAIT)
        assert cache.problem == "it failed (KeyError); the console's log says where"

        wait_until(lambda: cache.snapshot(WAIT) is not None, WAIT, "there is no look any more")

        assert cache.problem is None
        cache.stop()


def test_attributes_count_for_what_is_kept() -> None:
    attributes = {"failure_detail": {"DataType": "String", "StringValue": "d" * (MAX_BYTES // 4)}}
    gathered = Gathered()

    for number in range(10):
        gathered.add(Received(str(number), "handle", sign_up("ada"), 1, attributes))

    snapshot = gathered.snapshot(0.0, 0, at_limit=False)
    assert (snapshot.total, len(snapshot.letters)) == (10, 3)
