"""How many threads are at work at once: as many as it takes for one to compute while the others wait."""

import pytest

from worker.pipeline.adaptive_limit import AdaptiveLimit

COMPUTED = 0.005  # seconds, of a batch of a hundred


def settled(concurrency: AdaptiveLimit, *, waits: float) -> list[int]:
    """The limits after each of many batches, which wait so long for queue and database, and for each other."""
    limits = []
    now = 0.0
    for number in range(200):
        began = now
        now += waits + COMPUTED * (concurrency.limit if number % 3 else 1)
        concurrency.took(began, now, COMPUTED)
        limits.append(concurrency.limit)
    return limits[100:]


def test_one_thread_is_the_beginning() -> None:
    assert AdaptiveLimit(32).limit == 1


@pytest.mark.parametrize(("waits", "threads"), [(0.0, 1), (0.005, 2), (0.045, 10), (0.5, 32)])
def test_the_more_a_batch_waits_the_more_threads_there_are(waits: float, threads: int) -> None:
    assert set(settled(AdaptiveLimit(32, memory=float("inf")), waits=waits)) == {threads}


def test_a_slow_batch_among_others_changes_nothing() -> None:
    concurrency = AdaptiveLimit(32, memory=float("inf"))
    concurrency.took(0.0, 0.05, COMPUTED)
    for number in range(100):
        slow = number % 10 == 9
        concurrency.took(number, number + (3.0 if slow else 0.05), 0.1 if slow else COMPUTED)
        assert concurrency.limit == 10


def test_a_lone_batch_is_measured_anew_after_a_while() -> None:
    concurrency = AdaptiveLimit(32, memory=0.01)

    assert set(settled(concurrency, waits=0.05)) == {1}


def test_a_batch_that_began_among_others_is_no_lone_one() -> None:
    limit = AdaptiveLimit(32)
    limit.took(0.0, 1.0, COMPUTED)  # from now on they are

    limit.took(0.5, 3.5, COMPUTED)

    assert limit.limit == 1


def test_more_than_may_be_are_never_at_work() -> None:
    assert set(settled(AdaptiveLimit(1), waits=0.05)) == {1}
