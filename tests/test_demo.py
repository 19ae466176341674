"""`make demo`, as somebody sees it who has just cloned the project; more interrupts are in `tests/faults`."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.support.demo_process import COLOUR, DemoProcess, beginning_on_a_terminal, offered
from tests.support.once import once
from tests.support.wait import wait_until
from tests.worker.console.operator import Operator

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]

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
    consoles: dict[str, str]
    """What the console says while the database is away, and at the end."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return Seen(**json.loads(once(tmp_path_factory, "demo", lambda: json.dumps(asdict(see())))))


def see() -> Seen:
    with DemoProcess("--keep") as demo:
        demo.read_until("this is what the worker logs")
        settings, *commands = offered(demo.output)
        answers = []
        consoles = {}
        for command in commands:
            answers.append(in_shell(settings, command + (" --yes" if " edit " in command else "")))
            if awaited := next((event for words, event in LOGGED.items() if words in command), ""):
                demo.read_until(f'"event": "{awaited}"')
            if awaited == "paused":
                # Not before: what the console looks at is hidden for a moment from who mends it.
                console = operator(demo.output)
                consoles["outage"] = overview(console, "waits for the database")
        afterwards = wait_until(
            lambda: when_all_is_there(settings), 60, "not everybody and everything is in the tables"
        )
        consoles["last"] = overview(console, WELL)
        assert demo.note_parts() >= 5
        demo.signal(signal.SIGINT)
        assert demo.end() == (0, "")
        assert demo.left_behind() == []
    return Seen(demo.output, "".join(answers), afterwards, consoles)


# What the worker logs after some commands. It is waited for, as somebody does who types the next one.
LOGGED = {"send-broken": "dead_lettered", "--handle radia": "paused", "start-database": "resumed"}

# On a machine that needs more than a minute for all of this, what was mended has taken long.
WELL = r"Yes\.|attention\. Of the last hour's messages one in a hundred took \d+m"


def when_all_is_there(settings: str) -> str:
    """What is in the tables and the dead-letter queue, when who signed up in the outage and what was mended is."""
    activities = 'psql "$DATABASE_URL" -c "SELECT message FROM activities"'
    users = 'psql "$DATABASE_URL" -c "SELECT handle FROM users"'
    found = in_shell(settings, activities, users, "signup-sync dlq list")
    return found if "radia" in found and found.count("Is anybody there?") == 2 else ""


def in_shell(*lines: str) -> str:
    """What these lines print in a shell that knows nothing of the project."""
    environment = {"PATH": os.defpath, "AWS_PROFILE": "production"}
    script = "\n".join(("set -e", *lines))
    ended = subprocess.run(["sh", "-c", script], cwd="/", env=environment, capture_output=True, text=True, check=False)
    refused = "dlq replay" in lines[-1]  # what would fail again
    assert ended.returncode == refused, ended.stderr
    return ended.stdout + (ended.stderr if refused else "")


def operator(output: str) -> Operator:
    """Somebody who has followed the link."""
    link = re.search(r"^  (http://.*)/login\?token=(.*)$", output, re.MULTILINE)
    assert link is not None, output
    return Operator(link[1]).log_in(link[2])


def overview(console: Operator, awaited: str) -> str:
    """The console's first page when it says this (a regular expression)."""

    def words() -> str | None:
        found = console.get("/").words
        return found if re.search(awaited, found) else None

    return wait_until(words, 60, f"the console does not say {awaited!r}") or ""


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
    assert "radia" in seen.afterwards
    assert seen.afterwards.count("Is anybody there?") == 2
    assert "invalid_event" not in seen.afterwards


def test_its_database_is_stopped_and_started_on_request(seen: Seen) -> None:
    _, _, kept = seen.output.partition("this is what the worker logs")
    in_order = ("Postgres is stopped", '"paused"', "Postgres is back", '"resumed"')
    places = [kept.index(text) for text in in_order]

    assert places == sorted(places)
    assert "Postgres is stopped.\n" in seen.in_shell
    assert "Postgres is back.\n" in seen.in_shell


def test_the_console_of_what_is_kept_knows_the_worker_and_says_when_all_is_well(seen: Seen) -> None:
    assert "waits for the database" in seen.consoles["outage"]
    assert re.search(rf"({WELL}).* 127\.0\.0\.1:\d+ working ", seen.consoles["last"])


@pytest.mark.parametrize(
    ("directory", "line"),
    [
        ("", "SIGNUP_SYNC_DEMO is not set: read the settings of a demo into your shell (make demo KEEP=1)"),
        (
            "/none",
            "the demo of these settings has ended; make demo KEEP=1 starts another, which has settings of its own",
        ),
    ],
)
def test_who_asks_a_demo_that_is_not_there_is_told_in_one_line(directory: str, line: str) -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "demo", "stop-database"],
        cwd=ROOT,
        env={"SIGNUP_SYNC_DEMO": directory},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (asked.returncode, asked.stdout, asked.stderr) == (2, "", f"signup-sync: {line}\n")


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
