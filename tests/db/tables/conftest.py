"""The tests of the statements run on Postgres, there also beside an application's tables in another schema, on what
stands for it in tests of the worker, and on Citus.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import cast

import pytest

from db.connection import Connection
from signup_sync.postgres.statements import DEFAULT_SCHEMA
from tests.support.application import OWN_SCHEMA
from tests.support.citus import connect_sequentially
from tests.support.memory_database import MemoryConnection, MemoryDatabase
from worker.clock import SYSTEM_CLOCK

_CITUS = pytest.param("citus", marks=[pytest.mark.citus, pytest.mark.server])
_POSTGRES = [pytest.param(name, marks=pytest.mark.server) for name in ("postgres", "own_schema")]


@pytest.fixture(params=["memory", *_POSTGRES, _CITUS])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A connection in a transaction that nobody commits, unless the test does."""
    if request.param == "memory":
        yield cast("Connection", MemoryConnection(MemoryDatabase(SYSTEM_CLOCK)))
        return
    if request.param == "citus":
        with closing(connect_sequentially(request.getfixturevalue("distributed_url"))) as connection:
            yield connection
        return
    schema, fixture = (
        (OWN_SCHEMA, "shared_database_url") if request.param == "own_schema" else (DEFAULT_SCHEMA, "database_url")
    )
    with closing(Connection.connect(request.getfixturevalue(fixture))) as connection:
        connection.schema = schema
        yield connection
