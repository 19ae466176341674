import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.worker.messages import delivery
from worker.in_flight import Delivery
from worker.inbox import Inbox

FOREVER = 600.0  # seconds: who waits that long has failed
AT_ONCE = 30.0  # seconds in which even a busy machine gets there


@contextmanager
def taking(inbox: Inbox) -> Iterator[Future[list[Delivery]]]:
    """A writer that takes a batch; at the end the inbox is closed, so that it cannot wait forever."""
    with ThreadPoolExecutor() as executor:
        try:
            yield executor.submit(inbox.take)
        finally:
            inbox.close()


def stays_waiting(batch: Future[list[Delivery]]) -> bool:
    with pytest.raises(TimeoutError):
        batch.result(0.1)
    return True


def test_on_a_quiet_queue_a_batch_is_taken_at_once() -> None:
    inbox = Inbox(batch_size=100, max_linger=FOREVER)
    with taking(inbox) as batch:
        lone = delivery()
        inbox.put([lone])

        assert batch.result(AT_ONCE) == [lone]


def test_a_batch_waits_to_be_filled_where_more_is_known_to_come() -> None:
    inbox = Inbox(batch_size=3, max_linger=FOREVER)
    inbox.expect_more(1)
    deliveries = [delivery() for _ in range(3)]
    with taking(inbox) as batch:
        inbox.put(deliveries[:2])
        assert stays_waiting(batch)

        inbox.put(deliveries[2:])

        assert batch.result(AT_ONCE) == deliveries


def test_a_batch_waits_no_longer_when_nothing_more_comes() -> None:
    inbox = Inbox(batch_size=3, max_linger=FOREVER)
    inbox.expect_more(2)
    with taking(inbox) as batch:
        lone = delivery()
        inbox.put([lone])
        inbox.expect_more(-1)
        assert stays_waiting(batch)

        inbox.expect_more(-1)

        assert batch.result(AT_ONCE) == [lone]


def test_a_batch_that_is_not_filled_has_lingered_long_enough_at_some_time() -> None:
    inbox = Inbox(batch_size=3, max_linger=0.05)
    inbox.expect_more(1)
    with taking(inbox) as batch:
        lone = delivery()
        inbox.put([lone])

        assert batch.result(AT_ONCE) == [lone]


def test_no_batch_is_larger_than_it_may_be_and_the_rest_is_another_writer_s() -> None:
    inbox = Inbox(batch_size=10, max_linger=FOREVER)
    deliveries = [delivery() for _ in range(25)]
    with taking(inbox) as first, ThreadPoolExecutor() as executor:
        others = [executor.submit(inbox.take) for _ in range(2)]
        inbox.put(deliveries)

        batches = [batch.result(AT_ONCE) for batch in (first, *others)]

    assert sorted(map(len, batches)) == [5, 10, 10]
    assert {id(d) for batch in batches for d in batch} == {id(d) for d in deliveries}


def test_closing_lets_the_writers_go() -> None:
    inbox = Inbox(batch_size=10, max_linger=FOREVER)
    with ThreadPoolExecutor() as executor:
        writers = [executor.submit(inbox.take) for _ in range(3)]

        assert inbox.close() == []

        assert [writer.result(AT_ONCE) for writer in writers] == [[], [], []]


def test_closing_returns_what_no_writer_has_begun() -> None:
    inbox = Inbox(batch_size=10, max_linger=FOREVER)
    inbox.expect_more(1)
    lone = delivery()
    with taking(inbox) as batch:
        inbox.put([lone])
        assert stays_waiting(batch)

        assert inbox.close() == [lone]

        assert batch.result(AT_ONCE) == []


def test_what_comes_after_closing_is_returned_by_closing_again() -> None:
    inbox = Inbox(batch_size=10, max_linger=FOREVER)
    inbox.close()
    late = delivery()

    inbox.put([late])

    assert inbox.take() == []
    assert inbox.close() == [late]


def test_many_writers_take_each_delivery_once() -> None:
    inbox = Inbox(batch_size=7, max_linger=0.001)
    deliveries = [delivery() for _ in range(2000)]
    taken: list[Delivery] = []
    lock = threading.Lock()
    all_taken = threading.Event()

    def write() -> None:
        while batch := inbox.take():
            assert len(batch) <= 7
            with lock:
                taken.extend(batch)
                if len(taken) >= len(deliveries):
                    all_taken.set()

    with ThreadPoolExecutor() as executor:
        writers = [executor.submit(write) for _ in range(4)]
        for start in range(0, len(deliveries), 10):
            inbox.expect_more(1)
            inbox.put(deliveries[start : start + 10])
            inbox.expect_more(-1)
        assert all_taken.wait(AT_ONCE)
        inbox.close()
        for writer in writers:
            writer.result(AT_ONCE)

    assert len(taken) == len(deliveries)
    assert {id(d) for d in taken} == {id(d) for d in deliveries}
