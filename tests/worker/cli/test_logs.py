import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

SCRIPT = """
import sys, structlog
from worker.cli.logs import configure
configure(sys.argv[1], sys.argv[2])
log = structlog.get_logger()
log.debug("detail")
log.info("committed", messages=3)
try:
    1 / 0
except ZeroDivisionError:
    log.error("failed", exc_info=True)
"""

COLOUR = "\x1b["


def command(level: str, log_format: str) -> list[str]:
    return [sys.executable, "-c", SCRIPT, level, log_format]


def piped(level: str = "info", log_format: str = "auto") -> str:
    return subprocess.run(command(level, log_format), cwd=ROOT, capture_output=True, text=True, check=True).stdout


def on_a_terminal(log_format: str = "auto", **environment: str) -> str:
    ours, theirs = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | environment
    with subprocess.Popen(command("info", log_format), cwd=ROOT, stdout=theirs, env=variables) as process:
        os.close(theirs)
        output = b""
        with suppress(OSError):  # what Linux says when the other end is closed
            while chunk := os.read(ours, 4096):
                output += chunk
    os.close(ours)
    assert process.returncode == 0
    return output.decode()


def test_a_program_reads_one_json_object_a_line() -> None:
    lines = [json.loads(line) for line in piped().splitlines()]

    assert [(line["event"], line["level"]) for line in lines] == [("committed", "info"), ("failed", "error")]
    assert lines[0]["messages"] == 3
    assert lines[0]["timestamp"].endswith("Z")
    assert "ZeroDivisionError" in lines[1]["exception"]


@pytest.mark.parametrize(("level", "events"), [("debug", 3), ("error", 1)])
def test_what_is_below_the_level_is_not_logged(level: str, events: int) -> None:
    assert len(piped(level, "json").splitlines()) == events


def test_a_person_at_a_terminal_reads_colours() -> None:
    output = on_a_terminal()

    assert COLOUR in output
    assert "committed" in output
    assert "{" not in output.splitlines()[0]


def test_a_person_who_wants_no_colours_gets_none() -> None:
    output = on_a_terminal(NO_COLOR="1")

    assert COLOUR not in output
    assert "committed" in output


def test_a_terminal_can_be_given_json() -> None:
    assert json.loads(on_a_terminal("json").splitlines()[0])["event"] == "committed"


def test_the_console_format_has_no_colours_where_there_is_no_terminal() -> None:
    output = piped(log_format="console")

    assert "committed" in output
    assert COLOUR not in output
