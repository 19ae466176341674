"""The demo, interrupted at any moment, left by its reader, or broken: nothing of it stays."""

import os
import re
import signal
import subprocess

import pytest

from tests.support.demo_process import COLOUR, TIMEOUT, DemoProcess, beginning_on_a_terminal, offered
from tests.support.wait import wait_until

pytestmark = pytest.mark.process

INTERRUPTED = "Interrupted. Everything is stopped and removed."

ATTEMPTS = 5


def test_it_ends_by_itself_and_leaves_nothing_behind() -> None:
    with DemoProcess() as demo:
        demo.read_until("What came of it")
        assert demo.note_parts() >= 4

        assert demo.end() == (0, "")
        assert demo.output.endswith("Everything is stopped and removed.\n")
        assert demo.left_behind() == []


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("signup-sync: ", signal.SIGINT),
        ("The parts start", signal.SIGTERM),
        ("listens on port", signal.SIGHUP),
        ("applied 0001", signal.SIGINT),
        ("signs up", signal.SIGINT),
        ("published before", signal.SIGINT),
        ("The worker starts", signal.SIGINT),
        ("It is process", signal.SIGTERM),
        ("What they wait for", signal.SIGINT),
        ("Postgres is stopped", signal.SIGINT),
        ("has paused", signal.SIGINT),
        ("Postgres is back", signal.SIGTERM),
        ("What came of it", signal.SIGINT),
        ("dead-letter queue, from", signal.SIGINT),
    ],
)
def test_an_interrupt_at_any_moment_leaves_nothing_behind(moment: str, number: signal.Signals) -> None:
    with DemoProcess() as demo:
        demo.read_until(moment)
        demo.note_parts()
        demo.signal(number)

        status, errors = demo.end()
        assert errors == ""
        if status:  # else it was at its end already
            assert status == 128 + number
            assert INTERRUPTED in demo.output
        assert demo.left_behind() == []


def test_an_interrupt_while_the_database_is_being_made_is_quiet() -> None:
    for _ in range(ATTEMPTS):  # which takes a moment only, and a busy machine may miss it
        with DemoProcess() as demo:
            demo.read_until("The parts start")
            wait_until(lambda: demo.has("initdb") or demo.has("postgres"), TIMEOUT, "no database is being made")
            in_time = demo.has("initdb")
            demo.note_parts()
            demo.signal(signal.SIGINT)

            assert demo.end() == (130, "")
            assert demo.left_behind() == []
        if in_time:
            return
    raise AssertionError("initdb was never seen")


def test_a_reader_who_has_seen_enough_ends_it() -> None:
    with DemoProcess() as demo:
        demo.read_until("The worker starts")
        demo.note_parts()
        demo.close_output()

        assert demo.end() == (1, "")
        assert demo.left_behind() == []


def test_a_second_interrupt_does_not_disturb_the_end() -> None:
    with DemoProcess() as demo:
        demo.read_until("The worker starts")
        demo.note_parts()
        demo.signal(signal.SIGINT)
        demo.signal(signal.SIGTERM)

        assert demo.end()[0] in (130, 143)
        assert INTERRUPTED in demo.output
        assert demo.left_behind() == []


def test_a_demo_that_fails_says_why_and_cleans_up() -> None:
    with DemoProcess() as demo:
        number = re.search(r"process (\d+)", demo.read_until("It is process"))
        assert number is not None
        demo.note_parts()
        os.kill(int(number[1]), signal.SIGKILL)

        status, errors = demo.end()
        assert status == 1
        assert re.match("The demo failed: there was no sign of .*: the worker has ended\n", errors)
        assert "Traceback" not in errors
        assert demo.left_behind() == []


def test_what_is_kept_ends_without_its_database_too() -> None:
    with DemoProcess("--keep") as demo:
        demo.read_until("this is what the worker logs")
        settings, *commands = offered(demo.output)
        outage = [command for command in commands if "stop-database" in command or "radia" in command]
        assert len(outage) == 2
        subprocess.run(["sh", "-c", "\n".join([settings, *outage])], check=True, capture_output=True)
        demo.read_until('"event": "paused"')
        demo.note_parts()
        demo.signal(signal.SIGINT)

        assert demo.end() == (0, "")
        assert demo.output.endswith("Everything is stopped and removed.\n")
        assert demo.left_behind() == []


def test_what_is_kept_ends_while_its_console_starts() -> None:
    with DemoProcess("--keep") as demo:
        demo.read_until("dead-letter queue, from")
        wait_until(lambda: demo.has("console"), TIMEOUT, "no console is started")
        demo.note_parts()
        demo.signal(signal.SIGINT)

        assert demo.end() == (0, "")
        assert demo.left_behind() == []


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_they_are_unwanted(no_color: str, *, colored: bool) -> None:
    assert bool(COLOUR.search(beginning_on_a_terminal(NO_COLOR=no_color))) is colored
