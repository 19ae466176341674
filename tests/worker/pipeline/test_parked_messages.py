from tests.support.virtual_clock import VirtualClock
from worker.pipeline.parked_messages import MAX_WAITING, ParkedMessages


def test_who_waits_is_found_once_by_what_they_wait_for() -> None:
    waiting = ParkedMessages()
    waiting.add("ada", "first", 60)
    waiting.add("ada", "second", 60)
    waiting.add("bob", "third", 60)

    assert waiting.pop(["eve", "ada"]) == ["first", "second"]
    assert waiting.pop(["ada"]) == []
    assert waiting.pop(["bob", "ada"]) == ["third"]


def test_nobody_waits_at_first() -> None:
    assert ParkedMessages().pop(["ada"]) == []


def test_who_is_visible_again_is_not_woken() -> None:
    with VirtualClock() as clock:
        waiting = ParkedMessages(clock)
        waiting.add("ada", "over", 30)
        waiting.add("ada", "not over", 31)
        clock.sleep(30)

        assert waiting.pop(["ada"]) == ["not over"]


def test_those_who_began_to_wait_first_are_forgotten_when_they_are_too_many() -> None:
    waiting = ParkedMessages()
    for number in range(MAX_WAITING + 10):
        waiting.add(str(number), f"handle-{number}", 60)

    assert waiting.pop(map(str, range(10))) == []
    assert len(waiting.pop(map(str, range(10, MAX_WAITING + 10)))) == MAX_WAITING


def test_there_is_room_again_when_somebody_was_woken() -> None:
    waiting = ParkedMessages()
    for number in range(MAX_WAITING):
        waiting.add(str(number), f"handle-{number}", 60)
    waiting.pop(["5000"])

    waiting.add("new", "handle-new", 60)

    assert waiting.pop(["0", "new"]) == ["handle-0", "handle-new"]
