"""Who has to wait after refused logins, and how long."""

import pytest

from worker.console.refusals import FORGOTTEN_AFTER, FREE, MAX_ADDRESSES, MAX_WAIT, Refusals


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refusals(clock: Clock) -> Refusals:
    return Refusals(clock)


def test_each_wait_is_twice_the_one_before_up_to_a_minute(refusals: Refusals) -> None:
    waits = []
    for _ in range(FREE + 9):
        refusals.add("192.0.2.1")
        waits.append(refusals.wait("192.0.2.1"))

    assert waits == [0.0] * FREE + [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, MAX_WAIT, MAX_WAIT, MAX_WAIT]


def test_it_passes_and_is_forgotten(refusals: Refusals, clock: Clock) -> None:
    for _ in range(FREE + 3):
        refusals.add("192.0.2.1")
    clock.time += 3
    assert refusals.wait("192.0.2.1") == 1.0
    clock.time += 1
    assert refusals.wait("192.0.2.1") == 0.0

    clock.time += FORGOTTEN_AFTER
    refusals.add("192.0.2.1")
    assert refusals.wait("192.0.2.1") == 0.0


def test_others_do_not_wait_but_those_of_the_same_network(refusals: Refusals) -> None:
    for _ in range(FREE + 1):
        refusals.add("2001:db8::1")
        refusals.add("")

    assert refusals.wait("2001:db8::2") == 1.0
    assert refusals.wait("2001:db8:0:1::2") == 0.0
    assert refusals.wait("192.0.2.1") == 0.0
    assert refusals.wait("") == 1.0


def test_no_more_is_remembered_than_there_is_room_for(refusals: Refusals) -> None:
    for _ in range(FREE + 1):
        refusals.add("192.0.2.1")
    for number in range(MAX_ADDRESSES):
        refusals.add(f"10.0.{number // 256}.{number % 256}")

    assert refusals.wait("192.0.2.1") == 0.0
