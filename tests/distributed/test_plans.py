"""Which statements go to one node, and which to all: as EXPLAIN says, of tables in `SHARDS` parts."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from db.connection import Connection
from db.statements import qualified
from signup_sync.postgres import statements
from tests.support.citus import SHARDS, connect_sequentially

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ONE = [UUID(int=1)]
MANY = [UUID(int=number << 96) for number in range(100)]
PAGE = {"created_at": None, "uuid": None, "limit": 20}


@pytest.fixture
def connection(distributed_url: str) -> Iterator[Connection]:
    with closing(connect_sequentially(distributed_url)) as connection:
        yield connection


def tasks(connection: Connection, query: str, parameters: dict[str, Any]) -> list[int]:
    """How many parts each step asks, the steps as they are in the plan; nothing for what the coordinator does alone."""
    [(plan,)] = connection.execute(f"EXPLAIN (FORMAT JSON) {query}".encode(), parameters).fetchall()
    return list(_tasks(plan if isinstance(plan, list) else json.loads(plan)))


def _tasks(plan: Any) -> Iterator[int]:
    if isinstance(plan, dict):
        if "Task Count" in plan:
            yield plan["Task Count"]
        for name, value in plan.items():
            if name != "Tasks":
                yield from _tasks(value)
    elif isinstance(plan, list):
        for value in plan:
            yield from _tasks(value)


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("find_users", {"cognito_user_ids": ["ada"]}, [1]),
        ("find_authors", {"cognito_user_ids": ["ada"]}, [1]),
        ("find_profiles", {"cognito_user_ids": ["ada"]}, [1]),
        ("find_tombstones", {"cognito_user_ids": ["ada"]}, [1]),
        ("list_users", {"after": "", "created_before": None, "limit": 9}, [1]),
        ("look_up_users", {"terms": ["ada"], "name": "ada", "limit": 9}, [1]),
        ("find_activities", {"uuids": ONE}, [1]),
        ("find_activities", {"uuids": MANY}, [SHARDS]),
        ("count_replies_on_nodes", {"uuids": ONE, "counts": [1]}, [1]),
        ("count_replies_on_nodes", {"uuids": MANY, "counts": [1] * len(MANY)}, [SHARDS]),
        ("count_activities", {"user_uuid": ONE[0]}, [SHARDS]),
    ],
)
def test_the_worker_s_and_the_console_s(
    connection: Connection, name: str, parameters: dict[str, Any], expected: list[int]
) -> None:
    assert tasks(connection, qualified(name, "public"), parameters) == expected


def test_a_page_of_a_deletion_asks_all(connection: Connection) -> None:
    parameters = {**PAGE, "user_uuid": ONE[0], "deleted_at": NOON}

    assert SHARDS in tasks(connection, qualified("erase_activities", "public"), parameters)


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("home_feed", PAGE, [SHARDS]),
        # The user from one node, a page from all, put together and made JSON by one.
        ("user_with_activities", {**PAGE, "handle": "ada"}, [1, SHARDS, 1, 1]),
        # The replies from all, their parent from one.
        (
            "activity_with_replies",
            {"uuid": ONE[0], "after_created_at": None, "after_uuid": None, "limit": 20},
            [SHARDS, 1, 1],
        ),
    ],
)
def test_the_feeds(connection: Connection, name: str, parameters: dict[str, Any], expected: list[int]) -> None:
    assert tasks(connection, statements.qualified(name, "public"), parameters) == expected
