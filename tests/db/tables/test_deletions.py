import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from psycopg.errors import DeadlockDetected

from db.connection import Connection
from db.tables.activities import ActivitiesInserted, NewActivity, insert_activities
from db.tables.deletions import Deletion, delete_users
from db.tables.users import NewProfile, NewUser, UsersInserted, UsersUpdated, insert_users, update_users
from tests.db.tables.rows import activities, users
from tests.support.memory_database import MemoryConnection, MemoryDatabase
from tests.support.wait import wait_until
from worker.clock import SYSTEM_CLOCK

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
A, B, C = (UUID(int=number) for number in range(1, 4))


def ada() -> NewUser:
    return NewUser("ada", "Ada Lovelace", "ada", "ada@example.com", NOON, {"locale": "en"})


def post(uuid: UUID, *, author: str = "ada", reply_to: UUID | None = None) -> NewActivity:
    return NewActivity(uuid, author, f"{author} was here", reply_to, None, NOON)


def deletion(name: str = "ada", at: datetime = LATER, *, erases: bool = True) -> Deletion:
    return Deletion(name, at, erases)


def user(connection: Connection, name: str = "ada") -> dict[str, Any]:
    return next(row for row in users(connection) if row["cognito_user_id"] == name)


TOMBSTONE: dict[str, Any] = {
    "display_name": None,
    "handle": None,
    "email": None,
    "attributes": {},
    "profile_at": None,
    "profile_event": None,
    "created_at": LATER,
    "deleted_at": LATER,
}


def test_nothing_is_left_of_a_user_but_when_they_were_deleted(connection: Connection) -> None:
    insert_users(connection, [ada()])

    assert delete_users(connection, [deletion()]) == {"ada"}

    assert TOMBSTONE.items() <= user(connection).items()


def test_who_never_had_a_row_has_a_tombstone(connection: Connection) -> None:
    assert delete_users(connection, [deletion()]) == {"ada"}

    assert TOMBSTONE.items() <= user(connection).items()


def test_nobody_is_no_error(connection: Connection) -> None:
    assert delete_users(connection, []) == set()


def test_the_handle_is_free_again(connection: Connection) -> None:
    insert_users(connection, [ada()])
    delete_users(connection, [deletion()])

    assert insert_users(connection, [NewUser("2", "Ada", "ada", None, NOON)]).handles_reassigned == {}


def test_what_they_have_posted_loses_its_message_and_keeps_its_replies(connection: Connection) -> None:
    insert_users(connection, [ada(), NewUser("bob", "Bob", "bob", None, NOON)])
    insert_activities(connection, [post(A), post(B, author="bob", reply_to=A)])

    delete_users(connection, [deletion()])

    rows = {row["uuid"]: row for row in activities(connection)}
    assert (rows[A]["message"], rows[A]["deleted_at"], rows[A]["replies_count"]) == (None, LATER, 1)
    assert (rows[B]["message"], rows[B]["deleted_at"]) == ("bob was here", None)
    assert insert_activities(connection, [post(C, author="bob", reply_to=A)]).inserted == {C}
    assert {row["uuid"]: row["replies_count"] for row in activities(connection)}[A] == 2


def test_what_they_have_posted_is_kept_if_that_is_wanted(connection: Connection) -> None:
    insert_users(connection, [ada()])
    insert_activities(connection, [post(A)])

    delete_users(connection, [deletion(erases=False)])

    [row] = activities(connection)
    assert (row["message"], row["deleted_at"]) == ("ada was here", None)


def test_all_of_many_are_erased(connection: Connection) -> None:
    insert_users(connection, [ada()])
    insert_activities(connection, [post(UUID(int=number)) for number in range(1, 12)])

    delete_users(connection, [deletion()], page_size=3)

    assert {(row["message"], row["deleted_at"]) for row in activities(connection)} == {(None, LATER)}


def test_whatever_comes_later_changes_nothing(connection: Connection) -> None:
    insert_users(connection, [ada()])
    insert_activities(connection, [post(A)])
    delete_users(connection, [deletion()])
    before = users(connection), activities(connection)

    assert insert_users(connection, [ada()]) == UsersInserted()
    much_later = NewProfile(C, "ada", "Ada", "ada", None, LATER + timedelta(days=9))
    assert update_users(connection, [much_later]) == UsersUpdated(deleted={"ada"})
    assert insert_activities(connection, [post(A), post(B)]) == ActivitiesInserted(ignored={A, B})
    assert delete_users(connection, [deletion(), deletion(at=LATER + timedelta(days=1))]) == set()

    assert (users(connection), activities(connection)) == before


def test_an_earlier_deletion_that_comes_later_sets_the_earlier_time(connection: Connection) -> None:
    delete_users(connection, [deletion()])

    assert delete_users(connection, [deletion(at=NOON)]) == {"ada"}

    row = user(connection)
    assert (row["deleted_at"], row["created_at"]) == (NOON, NOON)


@pytest.mark.parametrize("together", [False, True])
def test_deletions_in_any_order_leave_the_same(together: bool) -> None:
    events = [
        deletion(at=NOON + timedelta(hours=3)),
        deletion(at=NOON + timedelta(hours=2), erases=False),
        deletion(at=NOON + timedelta(hours=5)),
    ]
    left = []
    for order in permutations(events):
        connection: Any = MemoryConnection(MemoryDatabase(SYSTEM_CLOCK))
        insert_users(connection, [ada()])
        insert_activities(connection, [post(A)])
        for batch in [order] if together else [[event] for event in order]:
            delete_users(connection, batch)
        [row], [erased] = users(connection), activities(connection)
        left.append((row["deleted_at"], row["created_at"], erased["deleted_at"]))

    assert set(left) == {(NOON + timedelta(hours=2), NOON + timedelta(hours=2), NOON + timedelta(hours=3))}


def test_a_deletion_waits_for_activities_that_are_being_written(database_url: str) -> None:
    """Those that nobody else sees yet would outlive it."""
    with closing(Connection.connect(database_url)) as author, closing(Connection.connect(database_url)) as deleter:
        insert_users(author, [ada()])
        author.commit()
        insert_activities(author, [post(A)])
        thread = threading.Thread(target=_delete_and_commit, args=(deleter,))
        thread.start()
        wait_until(lambda: _waits(author, deleter.info.backend_pid), 10, "the deletion does not wait")
        author.commit()
        thread.join(10)

        assert [row["message"] for row in activities(author)] == [None]


def test_activities_wait_for_a_deletion_that_has_begun(database_url: str) -> None:
    with closing(Connection.connect(database_url)) as author, closing(Connection.connect(database_url)) as deleter:
        insert_users(deleter, [ada()])
        deleter.commit()
        delete_users(deleter, [deletion()])
        results: list[ActivitiesInserted] = []
        thread = threading.Thread(target=lambda: results.append(insert_activities(author, [post(A)])))
        thread.start()
        wait_until(lambda: _waits(deleter, author.info.backend_pid), 10, "the activities do not wait")
        deleter.commit()
        thread.join(10)

        assert results == [ActivitiesInserted(ignored={A})]


def test_workers_that_delete_and_write_at_once_leave_nothing_and_lose_nothing(database_url: str) -> None:
    """Whatever locks they meet: a deadlock is tried again, as the worker does."""
    names = [f"user-{number}" for number in range(6)]
    gone = names[:3]
    with closing(Connection.connect(database_url)) as connection:
        insert_users(connection, [NewUser(name, name, name, None, NOON) for name in names])
        connection.commit()

        with ThreadPoolExecutor() as executor:
            list(executor.map(partial(_work, database_url, names, gone), range(4)))

        authors = {row["uuid"]: row["cognito_user_id"] for row in users(connection)}
        written = [(authors[row["user_uuid"]], row["message"]) for row in activities(connection)]
        assert [message for author, message in written if author in gone and message is not None] == []
        assert sum(author not in gone for author, _ in written) == 4 * ROUNDS * 3


ROUNDS = 12


def _delete_and_commit(connection: Connection) -> None:
    delete_users(connection, [deletion()])
    connection.commit()


def _waits(connection: Connection, pid: int) -> bool:
    row = connection.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", (pid,)).fetchone()
    return bool(row and row[0])


def _work(database_url: str, names: list[str], gone: list[str], seed: int) -> None:
    chance = random.Random(seed)
    with closing(Connection.connect(database_url, options="-c deadlock_timeout=10ms")) as connection:
        for number in range(ROUNDS):
            posts = [
                post(UUID(int=1 + (seed * ROUNDS + number) * len(names) + place), author=name)
                for place, name in enumerate(names)
            ]
            chance.shuffle(posts)
            chosen = gone if number == ROUNDS - 1 else chance.sample(gone, number // 6)
            _in_transaction(connection, [deletion(name) for name in chosen], posts)


def _in_transaction(connection: Connection, deleted: list[Deletion], posts: list[NewActivity]) -> None:
    while True:
        try:
            with connection.transaction():
                delete_users(connection, deleted)
                insert_activities(connection, posts)
        except DeadlockDetected:
            continue
        return
