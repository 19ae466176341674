"""What the log says of what was done."""

from tests.support.events import activity, sign_up
from tests.support.memory_system import MemorySystem


def test_the_last_line_says_what_was_done(system: MemorySystem) -> None:
    system.send(*(sign_up(f"user{n}") for n in range(25)), sign_up("user1"), "broken", activity("nobody"))
    worker = system.worker(until_empty=True)

    system.clock.run_until(lambda: not worker.running)

    [stopped] = system.logged("stopped")
    assert {name: stopped[name] for name in ("committed", "put_off", "dead")} == {
        "committed": 26,
        "put_off": 1,
        "dead": 1,
    }


def test_a_minute_in_which_something_was_done_has_a_line(system: MemorySystem) -> None:
    system.worker()
    system.clock.sleep(90)
    system.send(sign_up("ada"), sign_up("bob"), "broken")
    system.clock.sleep(60)
    system.send(sign_up("eve"))
    system.clock.sleep(600)

    lines = [(line["committed"], line["put_off"], line["dead"]) for line in system.logged("progress")]
    assert lines == [(2, 0, 1), (1, 0, 0)]
