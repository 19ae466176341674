"""Leases of messages that are held are extended, whatever SQS has answered before."""

import threading
from collections.abc import Sequence
from typing import cast

import pytest

from signup_sync.sqs import Failure
from tests.support.wait import wait_until
from worker.aws.sqs import Queue, Received
from worker.dead_letters.held_messages import HeldMessages


class OddQueue:
    """Of which the first answers are not those of SQS."""

    def __init__(self) -> None:
        self.calls = 0
        self._lock = threading.Lock()

    def change_visibility(self, timeouts: Sequence[tuple[str, int]]) -> list[Failure]:
        with self._lock:
            self.calls += 1
        if self.calls < 3:
            raise KeyError("Failed")
        assert timeouts
        return []


@pytest.mark.process  # it waits for real time
def test_an_odd_answer_does_not_end_the_keeper_of_leases() -> None:
    queue = OddQueue()
    held = HeldMessages(cast("Queue", queue), shortest_lease=1)
    held.add([Received("id", "handle", "body", 1, {})], 0.0)

    held.start()
    wait_until(lambda: held.has("id"), 30, "the lease is not extended")

    assert held.close() == 0
