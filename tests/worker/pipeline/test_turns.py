"""Leader and followers: who may receive, and when."""

from collections.abc import Iterator

import pytest

from tests.support.virtual_clock import VirtualClock
from worker.pipeline.adaptive_limit import AdaptiveLimit
from worker.pipeline.turns import KEEP_LEAD, Turns

LONG = 1.0  # seconds, in which whoever may begin has begun


class Limit(AdaptiveLimit):
    """As many as it is told."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with VirtualClock() as clock:
        yield clock


class Follower:
    """A thread that waits for its turn; `began` is what `begin` has returned."""

    def __init__(self, clock: VirtualClock, turns: Turns) -> None:
        self._clock = clock
        self._turns = turns
        self.began: bool | None = None
        clock.thread("follower", self._begin)

    def _begin(self) -> None:
        self.began = self._turns.begin()

    def waits(self) -> bool:
        """Whether it still does after a long time."""
        self._clock.sleep(LONG)
        return self.began is None

    def begins(self, within: float = 0.0) -> bool:
        """Whether it has begun to work so many seconds from now."""
        self._clock.sleep(within)
        return self.began is True


def test_one_leads_and_the_next_one_has_the_lead_when_it_is_handed_on(clock: VirtualClock) -> None:
    turns = Turns(Limit(8), writers=2, clock=clock)
    assert turns.begin()
    second = Follower(clock, turns)
    assert second.waits()

    turns.received(some=False, busy=False)

    assert second.begins()


def test_who_has_received_little_keeps_the_lead_for_a_moment(clock: VirtualClock) -> None:
    turns = Turns(Limit(8), writers=2, clock=clock)
    turns.begin()
    follower = Follower(clock, turns)

    turns.received(some=True, busy=False)

    assert not follower.begins(within=0.9 * KEEP_LEAD)
    assert follower.begins(within=0.2 * KEEP_LEAD)


@pytest.mark.parametrize("ends_soon", [True, False])
def test_who_has_written_and_has_more_to_do_hands_the_lead_on(clock: VirtualClock, ends_soon: bool) -> None:
    turns = Turns(Limit(8), writers=2, clock=clock)
    turns.begin()
    turns.received(some=True, busy=False)
    turns.writing()
    follower = Follower(clock, turns)
    assert not follower.begins()

    turns.written(ends_soon=ends_soon)

    assert follower.begins() is not ends_soon


def test_who_has_carried_little_is_the_next_to_begin(clock: VirtualClock) -> None:
    turns = Turns(Limit(8), writers=2, clock=clock)
    follower = None
    for _ in range(5):
        assert turns.begin()
        follower = follower or Follower(clock, turns)
        turns.received(some=True, busy=False)
        turns.writing()
        assert not follower.begins()
        turns.written(ends_soon=True)
        turns.end()

    assert follower is not None
    assert follower.began is None


def test_on_a_busy_queue_as_many_are_at_work_as_is_worth_it(clock: VirtualClock) -> None:
    turns = Turns(Limit(3), writers=2, clock=clock)
    turns.begin()
    turns.received(some=True, busy=True)
    assert turns.begin()
    assert turns.begin()
    fourth = Follower(clock, turns)
    assert fourth.waits()

    turns.end()

    assert fourth.begins()


def test_who_begins_on_a_busy_queue_wakes_the_next_one(clock: VirtualClock) -> None:
    """Not only when it has received, which takes long."""
    turns = Turns(Limit(4), writers=4, clock=clock)
    turns.begin()
    followers = [Follower(clock, turns) for _ in range(5)]
    clock.sleep(LONG)

    turns.received(some=True, busy=True)

    clock.sleep(LONG)
    assert sum(follower.began is True for follower in followers) == 3


def test_a_queue_that_is_no_longer_busy_has_one_leader(clock: VirtualClock) -> None:
    turns = Turns(Limit(8), writers=2, clock=clock)
    turns.begin()
    turns.received(some=True, busy=True)
    turns.begin()
    turns.begin()
    turns.received(some=True, busy=False)
    other = Follower(clock, turns)
    assert other.waits()

    turns.received(some=False, busy=False)

    assert other.begins()


def test_nobody_receives_for_connections_that_others_wait_for_already(clock: VirtualClock) -> None:
    turns = Turns(Limit(8), writers=1, clock=clock)
    for _ in range(2):  # one writes, one waits to
        turns.begin()
        turns.received(some=True, busy=False)
        turns.writing()
    third = Follower(clock, turns)
    assert third.waits()

    turns.written(ends_soon=False)

    assert third.begins()


def test_stopping_lets_the_followers_go(clock: VirtualClock) -> None:
    turns = Turns(Limit(8), writers=1, clock=clock)
    turns.begin()
    follower = Follower(clock, turns)
    turns.stop()

    assert not follower.begins()
    assert follower.began is False
    assert turns.begin() is False


def test_a_pause_ends_when_it_stops(clock: VirtualClock) -> None:
    turns = Turns(Limit(8), writers=1, clock=clock)
    began = clock.monotonic()
    paused = clock.thread("paused", lambda: turns.pause(600.0))
    clock.sleep(100)
    assert paused.is_alive()

    turns.stop()

    clock.run_until(lambda: not paused.is_alive())
    assert clock.monotonic() - began == 100


def test_a_pause_is_as_long_as_it_is(clock: VirtualClock) -> None:
    began = clock.monotonic()

    Turns(Limit(8), writers=1, clock=clock).pause(600.0)

    assert clock.monotonic() - began == 600


def test_of_those_whose_receive_failed_one_goes_on_trying(clock: VirtualClock) -> None:
    turns = Turns(Limit(8), writers=2, clock=clock)
    turns.begin()
    turns.received(some=True, busy=True)
    turns.begin()
    turns.begin()

    assert not turns.failed()
    turns.received(some=True, busy=False)

    assert turns.failed()
    other = Follower(clock, turns)
    assert other.waits()


def test_a_thread_is_alone_while_all_others_follow(clock: VirtualClock) -> None:
    turns = Turns(Limit(8), writers=2, clock=clock)
    turns.begin()
    assert turns.alone
    turns.received(some=True, busy=False)
    turns.begin()
    assert not turns.alone

    turns.end()

    assert turns.alone
