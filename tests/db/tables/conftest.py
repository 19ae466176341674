"""The tests of the statements run on Postgres, and on what stands for it in tests of the worker."""

from collections.abc import Iterator
from contextlib import closing
from typing import cast

import psycopg
import pytest

from signup_sync.postgres.statements import Connection
from tests.support.memory_database import MemoryConnection, MemoryDatabase
from worker.clock import SYSTEM_CLOCK


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.server)])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A connection in a transaction that nobody commits, unless the test does."""
    if request.param == "memory":
        yield cast("Connection", MemoryConnection(MemoryDatabase(SYSTEM_CLOCK)))
        return
    with closing(psycopg.connect(request.getfixturevalue("database_url"))) as connection:
        yield connection
