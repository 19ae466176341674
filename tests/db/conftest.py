"""A connection to a migrated database, for the tests of what runs on it."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Protocol

import psycopg
import pytest

from signup_sync.postgres.statements import Connection
from tests.support.postgres import Postgres


class CreateRole(Protocol):
    """`options` are those of CREATE ROLE."""

    def __call__(self, options: str = "") -> str: ...


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A connection in a transaction that nobody commits, unless the test does."""
    with closing(psycopg.connect(database_url)) as connection:
        yield connection


@pytest.fixture
def role(postgres: Postgres, database_url: str) -> Iterator[CreateRole]:
    """Makes a role without any rights on the tables, and returns its database URL."""
    name = f"role_{uuid.uuid4().hex}"

    def create(options: str = "") -> str:
        postgres.execute(f"CREATE ROLE {name} LOGIN {options}")
        return database_url.replace("postgres@", f"{name}@")

    yield create
    postgres.execute(f"DROP ROLE IF EXISTS {name}")
