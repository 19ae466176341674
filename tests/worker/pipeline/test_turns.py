"""Leader and followers: who may receive, and when."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from worker.pipeline.adaptive_limit import AdaptiveLimit
from worker.pipeline.turns import Turns

AT_ONCE = 30.0  # seconds in which even a busy machine gets there


class Limit(AdaptiveLimit):
    """As many as it is told."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


@contextmanager
def beginning(turns: Turns) -> Iterator[Future[bool]]:
    """A thread that waits for its turn; in the end all are let go."""
    with ThreadPoolExecutor() as executor:
        try:
            yield executor.submit(turns.begin)
        finally:
            turns.stop()


def stays_waiting(begun: Future[bool]) -> bool:
    with pytest.raises(TimeoutError):
        begun.result(0.1)
    return True


def test_one_leads_and_the_next_one_has_the_lead_when_it_is_handed_on() -> None:
    turns = Turns(Limit(8), writers=2)
    assert turns.begin()
    with beginning(turns) as second:
        assert stays_waiting(second)

        turns.received(some=True, busy=False)

        assert second.result(AT_ONCE) is True


def test_on_a_busy_queue_as_many_are_at_work_as_is_worth_it() -> None:
    turns = Turns(Limit(3), writers=2)
    turns.begin()
    turns.received(some=True, busy=True)
    assert turns.begin()
    assert turns.begin()
    with beginning(turns) as fourth:
        assert stays_waiting(fourth)

        turns.end()

        assert fourth.result(AT_ONCE) is True


def test_a_queue_that_is_no_longer_busy_has_one_leader() -> None:
    turns = Turns(Limit(8), writers=2)
    turns.begin()
    turns.received(some=True, busy=True)
    turns.begin()
    turns.begin()
    turns.received(some=True, busy=False)
    with beginning(turns) as other:
        assert stays_waiting(other)

        turns.received(some=True, busy=False)

        assert other.result(AT_ONCE) is True


def test_nobody_receives_for_connections_that_others_wait_for_already() -> None:
    turns = Turns(Limit(8), writers=1)
    for _ in range(2):  # one writes, one waits to
        turns.begin()
        turns.received(some=True, busy=False)
        turns.writing()
    with beginning(turns) as third:
        assert stays_waiting(third)

        turns.written(ends_soon=False)

        assert third.result(AT_ONCE) is True


def test_stopping_lets_the_followers_go() -> None:
    turns = Turns(Limit(8), writers=1)
    turns.begin()
    with beginning(turns) as follower:
        turns.stop()

        assert follower.result(AT_ONCE) is False
    assert turns.begin() is False


def test_a_pause_ends_when_it_stops() -> None:
    turns = Turns(Limit(8), writers=1)
    with ThreadPoolExecutor() as executor:
        paused = executor.submit(turns.pause, 600.0)
        turns.stop()
        paused.result(AT_ONCE)


def test_of_those_whose_receive_failed_one_goes_on_trying() -> None:
    turns = Turns(Limit(8), writers=2)
    turns.begin()
    turns.received(some=True, busy=True)
    turns.begin()
    turns.begin()

    assert not turns.failed()
    turns.received(some=True, busy=False)

    assert turns.failed()
    with beginning(turns) as other:
        assert stays_waiting(other)


def test_a_thread_is_alone_while_all_others_follow() -> None:
    turns = Turns(Limit(8), writers=2)
    turns.begin()
    assert turns.alone
    turns.received(some=True, busy=False)
    turns.begin()
    assert not turns.alone

    turns.end()

    assert turns.alone
