"""A command in the tests' own process does what it does in one of its own, and nothing is left of it."""

import logging
import os
import signal
import tempfile
from pathlib import Path

import boto3
import pytest
import structlog

from tests.support import command
from tests.support.dlq import Dlq
from tests.support.events import sign_up
from tests.support.invoke import invoke, invoke_on_terminal
from worker.cli import logs


def state() -> list[object]:
    """What a command may change in its process."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    log = structlog.get_config() if structlog.is_configured() else None, logging.getLogger("psycopg.pool").level
    return [dict(os.environ), handlers, log, boto3.DEFAULT_SESSION, tempfile.tempdir]


@pytest.mark.parametrize("args", [("db", "status"), ("db", "status", "--fast")], ids=" ".join)
@pytest.mark.process
def test_status_and_streams_are_those_of_a_process(args: tuple[str, ...]) -> None:
    environment = command.command_environment({})

    here = invoke(*args, environment=environment)
    there = command.run(*args, environment=environment)

    assert (here.returncode, here.stdout, here.stderr) == (there.returncode, there.stdout, there.stderr)


def test_answers_and_terminals_are_those_of_a_process(dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"))
    delete = ("delete", "--no-backup")

    here, there = dlq.run(*delete, stdin="n\n"), dlq.run_process(*delete, stdin="n\n")
    assert (here.returncode, here.stdout, here.stderr) == (there.returncode, there.stdout, there.stderr)

    for run in (invoke_on_terminal, command.run_on_terminal):
        status, seen, piped = run("dlq", "list", environment=dlq.environment)
        assert (status, piped) == (0, "")
        assert "\x1b[1mID" in seen


def test_what_a_command_changes_is_as_it_was(dlq: Dlq, tmp_path: Path) -> None:
    dlq.fill(sign_up("ada"))
    before = state()

    assert dlq.run("edit", "ada", "--yes", EDITOR="true", TMPDIR=str(tmp_path)).returncode == 0
    assert dlq.run("list", AWS_ACCESS_KEY_ID="").returncode == 2  # also where there were credentials the time before

    assert state() == before


def test_the_log_is_as_it_was(dlq: Dlq, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning", "json")
    try:
        dlq.run("list")
        structlog.get_logger().warning("ours")
    finally:
        structlog.reset_defaults()

    assert '"event": "ours"' in capsys.readouterr().out
