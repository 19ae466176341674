"""What is dear and the same for all tests, made once however many processes share the tests."""

import fcntl
import os
from collections.abc import Callable

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[], str]) -> str:
    """What `make` returns: the first process to ask calls it, and the others wait for that."""
    folder = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent
    result = folder / name
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed
        if not result.exists():
            made = make()
            result.write_text(made, "utf-8")
    return result.read_text("utf-8")
