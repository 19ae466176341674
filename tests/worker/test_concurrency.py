"""How many calls are made at once: as many as do not get into each other's way."""

import pytest

from worker.concurrency import SAMPLES, Concurrency

CALLS = 1000


def settled(concurrency: Concurrency, *, lone: float, at_once: float) -> list[int]:
    """The limits after each of many calls, to a place that serves `at_once` of them in `lone` seconds, and lets the
    others wait."""
    limits = []
    for _ in range(CALLS):
        concurrency.took(lone * max(1.0, concurrency.limit / at_once))
        limits.append(concurrency.limit)
    return limits[CALLS // 2 :]


def test_one_call_at_once_is_the_beginning() -> None:
    assert Concurrency(32).limit == 1


def test_where_only_the_network_takes_time_there_are_as_many_as_may_be() -> None:
    assert set(settled(Concurrency(32), lone=0.02, at_once=1000)) == {32}


@pytest.mark.parametrize("at_once", [1, 3, 10])
def test_where_calls_wait_for_each_other_there_are_as_many_as_are_served(at_once: int) -> None:
    limits = settled(Concurrency(32), lone=0.001, at_once=at_once)

    assert min(limits) >= at_once / 2
    assert max(limits) <= at_once * 3


def test_a_slow_call_among_others_changes_nothing() -> None:
    concurrency = Concurrency(32)
    settled(concurrency, lone=0.02, at_once=1000)

    for number in range(CALLS):
        concurrency.took(3.0 if number % 10 == 0 else 0.02)

    assert concurrency.limit == 32


def test_it_says_when_the_limit_changes() -> None:
    concurrency = Concurrency(2)

    changes = [concurrency.took(0.02) for _ in range(100)]

    assert changes.index(True) == SAMPLES  # one that began before, and as many as it takes
    assert changes.count(True) == 1
    assert concurrency.limit == 2


def test_a_lone_call_is_measured_anew_after_a_while() -> None:
    concurrency = Concurrency(32, memory=0.0)

    limits = settled(concurrency, lone=0.02, at_once=1000)

    assert set(limits) == {1}


def test_more_than_may_be_are_never_made() -> None:
    assert set(settled(Concurrency(1), lone=0.02, at_once=1000)) == {1}
