"""Writers wait for each other, and for nothing more: what would be a deadlock without the locks on names."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from db.connection import Connection
from db.tables.activities import ActivitiesInserted, NewActivity, insert_activities
from db.tables.deletions import Deletion, delete_users
from db.tables.name_locks import lock_for_changes
from db.tables.users import NewProfile, NewUser, insert_users, update_users
from tests.db.tables.rows import activities
from tests.support.citus import connect_sequentially
from tests.support.wait import wait_until

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
POST = NewActivity(UUID(int=1), "ada", "hello", None, None, NOON)


@pytest.fixture
def first(distributed_url: str) -> Iterator[Connection]:
    with closing(connect_sequentially(distributed_url)) as connection:
        insert_users(connection, [user("ada"), user("bob")])
        connection.commit()
        yield connection


@pytest.fixture
def second(distributed_url: str) -> Iterator[Connection]:
    with closing(connect_sequentially(distributed_url)) as connection:
        yield connection


def user(name: str) -> NewUser:
    return NewUser(name, name, name, None, NOON)


def profile(name: str) -> NewProfile:
    return NewProfile(uuid4(), name, "Ada", uuid4().hex, None, LATER)


@contextmanager
def waiting(first: Connection, second: Connection, act: Callable[[], object]) -> Iterator[None]:
    """While the second one does this, and waits for the first."""
    thread = threading.Thread(target=act)
    thread.start()
    try:
        query = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
        pid = second.info.backend_pid
        wait_until(lambda: first.execute(query, (pid,)).fetchone() == (True,), 10, "it does not wait")
        yield
    finally:
        first.commit()
        thread.join(10)


def test_a_deletion_waits_for_activities_that_are_being_written(first: Connection, second: Connection) -> None:
    insert_activities(first, [POST])

    with waiting(first, second, lambda: delete_users(second, [Deletion("ada", LATER, erases=True)])):
        pass

    second.commit()
    assert [row["message"] for row in activities(first)] == [None]


def test_activities_wait_for_a_deletion_that_has_begun(first: Connection, second: Connection) -> None:
    delete_users(first, [Deletion("ada", LATER, erases=True)])
    results: list[ActivitiesInserted] = []

    with waiting(first, second, lambda: results.append(insert_activities(second, [POST]))):
        pass

    assert results == [ActivitiesInserted(ignored={POST.uuid})]


def test_sign_ups_go_on_side_by_side_and_wait_for_changes(first: Connection, second: Connection) -> None:
    insert_users(first, [user("eve")])
    insert_users(second, [user("dora")])
    second.commit()
    first.commit()

    lock_for_changes(first)
    insert_users(first, [user("grace")])
    with waiting(first, second, lambda: insert_users(second, [user("hedy")])):
        update_users(first, [profile("ada")])


def test_writers_of_everything_meet_no_deadlock(first: Connection, distributed_url: str) -> None:
    parents = [NewActivity(UUID(int=number << 96), "ada", "hello", None, None, NOON) for number in range(1, 9)]
    insert_activities(first, parents)
    first.commit()

    with ThreadPoolExecutor() as executor:
        replies = sum(executor.map(lambda seed: _write(distributed_url, parents, seed), range(3)))

    assert sum(row["replies_count"] for row in activities(first)) == replies


def _write(url: str, parents: list[NewActivity], seed: int) -> int:
    """As the worker does; how many replies."""
    chance = random.Random(seed)
    replies = 0
    with closing(connect_sequentially(url)) as connection:
        for _ in range(10):
            posts = [POST._replace(uuid=uuid4(), reply_to_activity_uuid=chance.choice(parents).uuid) for _ in range(20)]
            changes = chance.random() < 0.5
            if changes:
                lock_for_changes(connection)
            insert_users(connection, [user(uuid4().hex) for _ in range(5)])
            if changes:
                update_users(connection, [profile(name) for name in ("ada", "bob")])
            insert_activities(connection, posts)
            connection.commit()
            replies += len(posts)
    return replies
