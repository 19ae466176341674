"""`signup-sync` in the tests' own process, for where a process of its own would show nothing more and take longer."""

import contextvars
import io
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache

import boto3
import botocore.session
import structlog
from botocore.loaders import Loader

from tests.support import command
from worker.cli.app import cli

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TERMINAL = {"TERM": "xterm", "COLUMNS": "80"}  # the size is asked of the tests' own terminal otherwise


def invoke(*args: str, environment: Mapping[str, str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with that environment and standard input.

    An exception that a process would die of with a traceback is raised. It must not be a command that gives its
    process to another program, or that ends it without more ado, as the worker does.
    """
    output, errors = _text(io.BytesIO()), _text(io.BytesIO())
    with redirect_stdout(output), redirect_stderr(errors):
        status = _run(args, environment, stdin)
    return subprocess.CompletedProcess(args, status, _written(output), _written(errors))


def invoke_on_terminal(
    *args: str, environment: Mapping[str, str], stdin: str = "", stdout_too: bool = True
) -> tuple[int, str, str]:
    """The same as `command.run_on_terminal`: standard error is a terminal, and standard output `stdout_too`.

    Returns the exit status, what the terminal got and what went into the pipe.
    """
    controller, other_end = os.openpty()
    piped = _text(io.BytesIO())
    with os.fdopen(controller, "rb", buffering=0), ThreadPoolExecutor(1) as reader:
        seen = reader.submit(command.read_to_end, controller)
        with (
            os.fdopen(other_end, "w") as terminal,
            redirect_stdout(terminal if stdout_too else piped),
            redirect_stderr(terminal),
        ):
            status = _run(args, {**_TERMINAL, **environment}, stdin)
        return status, seen.result(), _written(piped)


def _run(args: tuple[str, ...], environment: Mapping[str, str], stdin: str) -> int:
    """Returns the exit status. What the command changes in the process is as it was before when it has ended."""
    with _signal_handlers(), log_configuration_kept(), _environment(environment), _standard_input(stdin):
        try:
            contextvars.copy_context().run(cli.main, args, prog_name="signup-sync")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    raise AssertionError("a command ends with an exit status")


@contextmanager
def _environment(environment: Mapping[str, str]) -> Iterator[None]:
    """These variables and no others, and nothing that was made of others before."""
    before, session, directory = dict(os.environ), boto3.DEFAULT_SESSION, tempfile.tempdir
    _replace_environment(environment)
    boto3.DEFAULT_SESSION, tempfile.tempdir = _session(), None
    try:
        yield
    finally:
        _replace_environment(before)
        boto3.DEFAULT_SESSION, tempfile.tempdir = session, directory


def _replace_environment(variables: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


def _session() -> boto3.Session:
    """A session that knows nothing yet but the services' descriptions, which take most of the time to read."""
    session = botocore.session.Session()
    session.register_component("data_loader", _loader())
    return boto3.Session(botocore_session=session)


@cache
def _loader() -> Loader:
    loader = botocore.session.Session().get_component("data_loader")
    assert isinstance(loader, Loader)
    return loader


@contextmanager
def _signal_handlers() -> Iterator[None]:
    """Only the main thread may have any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def log_configuration_kept() -> Iterator[None]:
    """Whatever is configured meanwhile is gone at the end."""
    before = structlog.get_config() if structlog.is_configured() else None
    pool = logging.getLogger("psycopg.pool")
    level = pool.level
    try:
        yield
    finally:
        pool.setLevel(level)
        if before is None:
            structlog.reset_defaults()
        else:
            structlog.configure(**before)


@contextmanager
def _standard_input(text: str) -> Iterator[None]:
    before, sys.stdin = sys.stdin, _text(io.BytesIO(text.encode()))
    try:
        yield
    finally:
        sys.stdin = before


def _text(stream: io.BytesIO) -> io.TextIOWrapper:
    """As Python opens a process's own streams."""
    return io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()
