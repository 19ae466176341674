from collections.abc import Iterable

from tests.support.virtual_clock import VirtualClock
from worker.aws.sqs import Received
from worker.clock import SYSTEM_CLOCK, Clock
from worker.pipeline.parked_messages import MAX_WAITING, ParkedMessages
from worker.telemetry.instrumentation import Waiting

AUTHOR, PARENT = "unknown_author", "unknown_parent"


def message(name: str, receipt_handle: str = "") -> Received:
    """Its receipt handle is its name, unless it is given."""
    return Received(name, receipt_handle or name, "{}", 1, {}, 0.0)


class Parked(ParkedMessages):
    """`pop` returns the receipt handles that `wake` has woken."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(clock)
        self.woken: list[str] = []

    def pop(self, written: Iterable[str]) -> list[str]:
        self.wake(written)
        woken = self.woken.copy()
        self.woken.clear()
        return woken


def test_who_waits_is_found_once_by_what_they_wait_for() -> None:
    parked = Parked()
    parked.add("ada", message("first"), AUTHOR, 60, parked.woken.extend)
    parked.add("ada", message("second"), AUTHOR, 60, parked.woken.extend)
    parked.add("bob", message("third"), AUTHOR, 60, parked.woken.extend)

    assert parked.pop(["eve", "ada"]) == ["first", "second"]
    assert parked.pop(["ada"]) == []
    assert parked.pop(["bob", "ada"]) == ["third"]


def test_nobody_waits_at_first() -> None:
    assert Parked().pop(["ada"]) == []
    assert Parked().waiting() == []


def test_who_is_visible_again_is_not_woken() -> None:
    with VirtualClock() as clock:
        parked = Parked(clock)
        parked.add("ada", message("over"), AUTHOR, 30, parked.woken.extend)
        parked.add("ada", message("not over"), AUTHOR, 31, parked.woken.extend)
        clock.sleep(30)

        assert parked.pop(["ada"]) == ["not over"]


def test_who_is_put_off_again_is_woken_by_the_newer_receipt_handle() -> None:
    parked = Parked()
    parked.add("ada", message("first", "old"), AUTHOR, 60, parked.woken.extend)
    parked.add("ada", message("first", "new"), AUTHOR, 60, parked.woken.extend)

    assert parked.pop(["ada"]) == ["new"]


def test_those_who_began_to_wait_first_are_forgotten_when_they_are_too_many() -> None:
    parked = Parked()
    for number in range(MAX_WAITING + 10):
        parked.add(str(number), message(f"message-{number}"), AUTHOR, 60, parked.woken.extend)

    assert [waiting.messages for waiting in parked.waiting()] == [MAX_WAITING]
    assert parked.pop(map(str, range(10))) == []
    assert len(parked.pop(map(str, range(10, MAX_WAITING + 10)))) == MAX_WAITING


def test_who_is_put_off_again_and_again_takes_one_place() -> None:
    parked = Parked()
    parked.add("first", message("first"), AUTHOR, 60, parked.woken.extend)
    for number in range(MAX_WAITING):
        parked.add("ada", message("second", f"handle-{number}"), AUTHOR, 60, parked.woken.extend)

    assert parked.pop(["first"]) == ["first"]


def test_there_is_room_again_when_somebody_was_woken() -> None:
    parked = Parked()
    for number in range(MAX_WAITING):
        parked.add(str(number), message(f"message-{number}"), AUTHOR, 60, parked.woken.extend)
    parked.pop(["5000"])
    parked.add("new", message("new"), AUTHOR, 60, parked.woken.extend)

    assert parked.pop(["0"]) == ["message-0"]


def test_what_waits_is_counted_by_its_reason_since_the_first_and_until_the_last() -> None:
    with VirtualClock() as clock:
        parked = Parked(clock)
        parked.add("ada", message("first"), AUTHOR, 100, parked.woken.extend)
        clock.sleep(10)
        parked.add("bob", message("second"), AUTHOR, 50, parked.woken.extend)
        parked.add("a post", message("third"), PARENT, 60, parked.woken.extend)
        clock.sleep(5)

        assert parked.waiting() == [
            Waiting(AUTHOR, 2, waited=15, left=85),
            Waiting(PARENT, 1, waited=5, left=55),
        ]


def test_what_is_visible_again_or_was_woken_waits_no_more() -> None:
    with VirtualClock() as clock:
        parked = Parked(clock)
        parked.add("ada", message("visible"), AUTHOR, 30, parked.woken.extend)
        parked.add("ada", message("invisible"), AUTHOR, 40, parked.woken.extend)
        parked.add("a post", message("woken"), PARENT, 40, parked.woken.extend)
        clock.sleep(30)
        parked.pop(["a post"])

        assert parked.waiting() == [Waiting(AUTHOR, 1, waited=30, left=10)]


def test_what_is_put_off_again_has_waited_since_the_first_time() -> None:
    with VirtualClock() as clock:
        parked = Parked(clock)
        parked.add("ada", message("first", "old"), AUTHOR, 1, parked.woken.extend)
        clock.sleep(2)
        parked.add("ada", message("first", "new"), AUTHOR, 6, parked.woken.extend)
        clock.sleep(1)

        assert parked.waiting() == [Waiting(AUTHOR, 1, waited=3, left=5)]


def test_each_is_woken_by_the_queue_that_it_came_from() -> None:
    parked = ParkedMessages()
    events: list[str] = []
    activities: list[str] = []
    parked.add("ada", message("first"), AUTHOR, 60, events.extend)
    parked.add("ada", message("second"), AUTHOR, 60, activities.extend)

    parked.wake(["ada"])

    assert (events, activities) == (["first"], ["second"])
