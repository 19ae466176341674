"""A watched loop goes on, whatever its looks raise."""

import threading

from tests.support.captured_logs import captured_logs
from tests.support.wait import wait_until
from worker.console.watched_loop import WatchedLoop


def test_a_look_that_fails_is_logged_once_and_the_next_one_happens() -> None:
    looks: list[str] = []
    told: list[str] = []
    outcomes = iter([KeyError("somebody@example.com"), RecursionError(), None, KeyError("again"), None])

    def look() -> None:
        with loop.changed:
            loop.watch()
        looks.append(threading.current_thread().name)
        outcome = next(outcomes, None)
        if outcome is not None:
            raise outcome

    loop = WatchedLoop("look", look, lambda: 0.0 if len(looks) < 6 else float("inf"), told.append)
    with captured_logs() as log:
        loop.start()
        with loop.changed:
            loop.watch()
        wait_until(lambda: len(looks) == 6, 30, "the loop has ended")
        loop.stop()

    assert [told_of.partition(")")[0] for told_of in told] == [
        "it failed (KeyError",
        "it failed (RecursionError",
        "it failed (KeyError",
    ]
    assert [(line["event"], line["error"], line["look"]) for line in log] == [("look_failed", "KeyError", "look")] * 2
    assert "@" not in str(log)
