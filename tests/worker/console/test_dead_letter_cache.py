"""The console's copy of the dead letters: how old it may be."""

import time
from collections.abc import Iterator

import pytest

from tests.support.dlq import Dlq
from tests.support.events import sign_up
from tests.support.sqs import Queues
from worker.aws.sqs import Queue
from worker.console.dead_letter_cache import DeadLetterCache

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
