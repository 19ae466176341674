"""`make demo`, as somebody sees it who has just cloned the project; more interrupts are in `tests/faults`."""

import json
import os
import re
import signal
import subprocess
from dataclasses import asdict, dataclass

import pytest

from tests.support.demo_process import COLOUR, DemoProcess, beginning_on_a_terminal
from tests.support.once import once

pytestmark = pytest.mark.process

USERS = ("ada", "alan", "grace", "mary")
MESSAGES = (
    "Can it compose music?",
    "Yes, once programmed.",
    "Checked the numbers.",
    "On computable numbers.",
    "And then play chess.",
)


@dataclass(frozen=True)
class Seen:
    """What one demo has shown that was kept running, used as it says, and ended by Ctrl-C."""

    output: str
    in_shell: str
    """What the commands print that it tells its user, in the order in which it tells them."""
    afterwards: str
    """What the tables and the dead-letter queue hold then."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return Seen(**json.loads(once(tmp_path_factory, "demo", lambda: json.dumps(asdict(see())))))


def see() -> Seen:
    with DemoProcess("--keep") as demo:
        demo.read_until("this is what the worker logs")
        settings, *commands = re.findall(r"^  ((?:\. /|psql|signup-sync) ?.*)$", demo.output, re.MULTILINE)
        *others, edit = commands
        answer = in_shell(settings, *others, f"{edit} --yes")
        for _ in range(3):  # a user and an activity were published, and a letter was mended
            demo.read_until('"batch_committed"')
        users = (
            """psql "$DATABASE_URL" -c 'SELECT handle, message FROM users JOIN activities ON users.uuid = user_uuid'"""
        )
        afterwards = in_shell(
            settings, users, 'psql "$DATABASE_URL" -c "SELECT handle FROM users"', "signup-sync dlq list"
        )
        assert demo.note_parts() >= 4
        demo.signal(signal.SIGINT)
        assert demo.end() == (0, "")
        assert demo.left_behind() == []
    return Seen(demo.output, answer, afterwards)


def in_shell(*lines: str) -> str:
    """What these lines print in a shell that knows nothing of the project."""
    environment = {"PATH": os.defpath, "AWS_PROFILE": "production"}
    script = "\n".join(("set -e", *lines))
    ended = subprocess.run(["sh", "-c", script], cwd="/", env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def row(shown: str, *words: str) -> list[str]:
    """The cells of the one row that has these words in it."""
    lines = [line for line in shown.splitlines() if re.match("[0-9a-f]{8} ", line) and all(w in line for w in words)]
    assert len(lines) == 1, lines
    return re.split(r"\s{2,}", lines[0].strip())


def test_the_table_of_users_has_everybody_once(seen: Seen) -> None:
    for handle in USERS:
        cells = row(seen.output, f"{handle}@example.com")
        assert cells[2] == handle
        assert cells[3].lower().startswith(handle)
    assert re.fullmatch("Grace-[0-9a-f]{6}", row(seen.output, "Grace Young", "young@example.com")[2])


def test_the_table_of_activities_has_everything_once(seen: Seen) -> None:
    question, *others = (row(seen.output, message) for message in MESSAGES)
    authors = [row(seen.output, f"{handle}@example.com")[0] for handle in ("ada", "grace", "mary", "alan", "alan")]

    assert [cells[1] for cells in (question, *others)] == authors
    assert [cells[3] for cells in (question, *others)] == ["-", question[0], "-", "-", question[0]]
    assert [cells[4] for cells in (question, *others)] == ["2", "0", "0", "0", "0"]


def test_the_dead_letter_has_its_reason(seen: Seen) -> None:
    expected = ["invalid_event", "activity.created.v1", "data.message: Field required"]

    assert row(seen.output, "invalid_event")[1:] == expected


def test_sign_ups_go_on_while_the_database_is_away(seen: Seen) -> None:
    in_order = ("Postgres is stopped", "Grace Young signs up", "has paused", "Postgres is back", "resumed")
    places = [seen.output.index(text) for text in in_order]

    assert places == sorted(places)


def test_each_line_of_the_story_has_its_time_or_stands_below_one_that_has(seen: Seen) -> None:
    story, _, _ = seen.output.partition("These are the tables")
    lines = [line for line in story.splitlines()[1:] if line and not re.match(r"\d\. [A-Z]", line)]

    assert [line for line in lines if not re.match(r" +\d+\.\d s  \S| {10}\S", line)] == []


def test_a_pipe_gets_plain_text(seen: Seen) -> None:
    assert "\x1b" not in seen.output


def test_what_is_kept_can_be_used_as_it_says(seen: Seen) -> None:
    assert all(message in seen.in_shell for message in MESSAGES)
    assert "data.message: Field required" in seen.in_shell
    assert "hedy" in seen.afterwards
    assert "Is anybody there?" in seen.afterwards
    assert "invalid_event" not in seen.afterwards


def test_ctrl_c_ends_what_is_kept_and_says_so(seen: Seen) -> None:
    assert "The worker was asked to stop, and has: exit status 0." in seen.output
    assert seen.output.endswith("Everything is stopped and removed.\n")


def test_a_terminal_gets_colours() -> None:
    assert re.search(COLOUR, beginning_on_a_terminal())


def test_an_interrupt_when_the_parts_have_started_leaves_nothing_behind() -> None:
    with DemoProcess() as demo:
        demo.read_until("listens on port")
        assert demo.note_parts() >= 3
        demo.signal(signal.SIGINT)

        assert demo.end() == (130, "")
        assert "Interrupted. Everything is stopped and removed." in demo.output
        assert demo.left_behind() == []
