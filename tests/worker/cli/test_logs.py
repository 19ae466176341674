import io
import json
import os
from contextlib import redirect_stdout
from typing import Literal, TextIO

import pytest
import structlog

from tests.support.command import read_to_end
from tests.support.invoke import log_configuration_kept
from worker.cli.logs import configure

COLOUR = "\x1b["

Format = Literal["auto", "json", "console"]


def log_something(output: TextIO, level: str, log_format: Format) -> None:
    """What a process does whose standard output this is."""
    with redirect_stdout(output), log_configuration_kept():
        configure(level, log_format)
        log = structlog.get_logger()
        log.debug("detail")
        log.info("committed", messages=3)
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            log.exception("failed")


def piped(level: str = "info", log_format: Format = "auto") -> str:
    output = io.StringIO()
    log_something(output, level, log_format)
    return output.getvalue()


def on_a_terminal(log_format: Format = "auto") -> str:
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0):
        with os.fdopen(theirs, "w") as terminal:
            log_something(terminal, "info", log_format)
        return read_to_end(ours)


@pytest.fixture(autouse=True)
def _colours_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)


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


def test_a_person_who_wants_no_colours_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    output = on_a_terminal()

    assert COLOUR not in output
    assert "committed" in output


def test_a_terminal_can_be_given_json() -> None:
    assert json.loads(on_a_terminal("json").splitlines()[0])["event"] == "committed"


def test_the_console_format_has_no_colours_where_there_is_no_terminal() -> None:
    output = piped(log_format="console")

    assert "committed" in output
    assert COLOUR not in output
