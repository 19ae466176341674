import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID

import pytest

from db.connection import Connection
from db.tables.activities import ActivitiesInserted, NewActivity, insert_activities
from db.tables.users import NewUser, find_users, insert_users
from tests.db.tables.rows import activities

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)

A, B, C, D = (UUID(int=number) for number in range(1, 5))


def activity(uuid: UUID, *, reply_to: UUID | None = None, author: str = "ada") -> NewActivity:
    return NewActivity(uuid, author, "hello", reply_to, None, NOON)


@pytest.fixture
def authors(connection: Connection) -> None:
    insert_users(connection, [NewUser(name, name, name, None, NOON) for name in ("ada", "bob")])


pytestmark = pytest.mark.usefixtures("authors")


def replies_counts(connection: Connection) -> dict[UUID, int]:
    return {row["uuid"]: row["replies_count"] for row in activities(connection)}


def test_an_activity_becomes_a_row(connection: Connection) -> None:
    expires_at = datetime(2026, 2, 7, tzinfo=UTC)

    result = insert_activities(connection, [NewActivity(A, "ada", "hello", None, expires_at, NOON)])

    assert result == ActivitiesInserted(inserted={A})
    [row] = activities(connection)
    assert (row["uuid"], row["message"], row["reply_to_activity_uuid"]) == (A, "hello", None)
    assert (row["expires_at"], row["created_at"], row["replies_count"]) == (expires_at, NOON, 0)
    assert row["user_uuid"] == find_users(connection, ["ada"])["ada"]


def test_no_activities_are_no_error(connection: Connection) -> None:
    assert insert_activities(connection, []) == ActivitiesInserted()


def test_an_activity_without_its_author_is_left_out(connection: Connection) -> None:
    result = insert_activities(connection, [activity(A, author="nobody"), activity(B)])

    assert result == ActivitiesInserted(inserted={B}, without_author={A})
    assert set(replies_counts(connection)) == {B}


def test_a_reply_without_its_parent_is_left_out(connection: Connection) -> None:
    result = insert_activities(connection, [activity(A, reply_to=D), activity(B)])

    assert result == ActivitiesInserted(inserted={B}, without_parent={A})
    assert replies_counts(connection) == {B: 0}


def test_a_reply_without_author_and_parent_waits_for_its_author_first(connection: Connection) -> None:
    result = insert_activities(connection, [activity(A, reply_to=D, author="nobody")])

    assert result == ActivitiesInserted(without_author={A})


@pytest.mark.parametrize("order", [(A, B), (B, A)])
def test_a_parent_may_come_with_its_reply_in_any_order(connection: Connection, order: tuple[UUID, UUID]) -> None:
    both = {A: activity(A), B: activity(B, reply_to=A)}

    result = insert_activities(connection, [both[uuid] for uuid in order])

    assert result == ActivitiesInserted(inserted={A, B})
    assert replies_counts(connection) == {A: 1, B: 0}


def test_a_chain_of_replies_may_come_at_once_and_backwards(connection: Connection) -> None:
    chain = [activity(A, reply_to=B), activity(B, reply_to=C), activity(C, reply_to=D), activity(D)]

    result = insert_activities(connection, chain)

    assert result == ActivitiesInserted(inserted={A, B, C, D})
    assert replies_counts(connection) == {A: 0, B: 1, C: 1, D: 1}


def test_a_chain_waits_from_where_it_is_broken(connection: Connection) -> None:
    chain = [activity(A), activity(B, reply_to=A, author="nobody"), activity(C, reply_to=B), activity(D, reply_to=C)]

    result = insert_activities(connection, chain)

    assert result == ActivitiesInserted(inserted={A}, without_author={B}, without_parent={C, D})
    assert replies_counts(connection) == {A: 0}


def test_activities_that_reply_to_each_other_have_no_parent(connection: Connection) -> None:
    result = insert_activities(connection, [activity(A, reply_to=B), activity(B, reply_to=A), activity(C, reply_to=C)])

    assert result == ActivitiesInserted(without_parent={A, B, C})


def test_a_reply_to_an_activity_that_is_in_the_table_is_counted(connection: Connection) -> None:
    insert_activities(connection, [activity(A)])

    insert_activities(connection, [activity(B, reply_to=A), activity(C, reply_to=A, author="bob"), activity(D)])

    assert replies_counts(connection) == {A: 2, B: 0, C: 0, D: 0}


def test_an_activity_that_comes_again_stays_as_it_is(connection: Connection) -> None:
    insert_activities(connection, [activity(A)])

    again = insert_activities(connection, [NewActivity(A, "bob", "changed", None, None, NOON), activity(B)])

    assert again == ActivitiesInserted(inserted={B})
    assert [row["message"] for row in activities(connection)] == ["hello", "hello"]


def test_a_reply_is_counted_once_however_often_it_comes(connection: Connection) -> None:
    reply = activity(B, reply_to=A)
    insert_activities(connection, [activity(A), reply, reply])

    for _ in range(3):
        assert insert_activities(connection, [reply, activity(A), reply]) == ActivitiesInserted()

    assert replies_counts(connection) == {A: 1, B: 0}


def test_a_reply_that_was_rolled_back_is_not_counted(connection: Connection) -> None:
    insert_activities(connection, [activity(A)])
    connection.commit()
    insert_activities(connection, [activity(B, reply_to=A)])
    connection.rollback()

    insert_activities(connection, [activity(B, reply_to=A)])

    assert replies_counts(connection) == {A: 1, B: 0}


@pytest.mark.parametrize("connection", ["postgres"], indirect=True)
@pytest.mark.server
def test_a_reply_is_counted_while_another_one_is_being_inserted(connection: Connection, database_url: str) -> None:
    """Each has the lock of its foreign key by then: two that waited for the other's would be a deadlock."""
    insert_activities(connection, [activity(A)])
    connection.commit()
    with Connection.connect(database_url) as other:
        other.execute("SELECT FROM activities WHERE uuid = %s FOR KEY SHARE", (A,))
        connection.execute("SET LOCAL lock_timeout = '1s'")

        insert_activities(connection, [activity(B, reply_to=A)])

    assert replies_counts(connection) == {A: 1, B: 0}


@pytest.mark.parametrize("connection", ["postgres"], indirect=True)
@pytest.mark.server
def test_workers_that_reply_to_the_same_activities_at_once_lose_no_reply_and_do_not_deadlock(
    connection: Connection, database_url: str
) -> None:
    parents = [UUID(int=number) for number in range(1, 6)]
    insert_activities(connection, [activity(uuid) for uuid in parents])
    connection.commit()
    # Both have the same replies, each in an order of their own: every second delivery is a duplicate.
    replies = [activity(UUID(int=1000 + n), reply_to=parents[n % 5]) for n in range(100)]
    together = threading.Barrier(2)

    def run(seed: int) -> None:
        mine = random.Random(seed).sample(replies, len(replies))
        with Connection.connect(database_url) as own:
            for start in range(0, len(mine), 20):
                together.wait()
                insert_activities(own, mine[start : start + 20])
                own.commit()

    with ThreadPoolExecutor() as executor:
        list(executor.map(run, (1, 2)))

    counts = replies_counts(connection)
    assert [counts[uuid] for uuid in parents] == [20] * 5
    assert len(counts) == 105
