import hashlib
import random
import string
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from db.connection import Connection
from db.tables.users import (
    HANDLE_MAX_LENGTH,
    NewProfile,
    NewUser,
    UsersInserted,
    UsersUpdated,
    find_users,
    insert_users,
    update_users,
)
from tests.db.tables.rows import users
from tests.support.wait import wait_until

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def user(cognito_user_id: str, handle: str, *, display_name: str = "Ada", created_at: datetime = NOON) -> NewUser:
    return NewUser(cognito_user_id, display_name, handle, f"{cognito_user_id}@example.com", created_at)


def hash_of(cognito_user_id: str) -> str:
    return hashlib.sha256(cognito_user_id.encode()).hexdigest()


def handles(connection: Connection) -> dict[str, str]:
    return {row["cognito_user_id"]: row["handle"] for row in users(connection)}


def test_a_user_becomes_a_row(connection: Connection) -> None:
    result = insert_users(connection, [NewUser("1", "Ada Lovelace", "ada", None, NOON)])

    assert result == UsersInserted(inserted={"1"})
    [row] = users(connection)
    assert (row["cognito_user_id"], row["display_name"], row["handle"]) == ("1", "Ada Lovelace", "ada")
    assert (row["email"], row["created_at"]) == (None, NOON)


def test_an_email_address_may_be_of_any_length(connection: Connection) -> None:
    """Longer than an entry of a B-tree index may be, however well it is compressed."""
    chance = random.Random(1)
    email = "".join(chance.choices(string.ascii_letters + string.digits, k=20_000)) + "@example.com"

    assert insert_users(connection, [NewUser("1", "Ada", "ada", email, NOON)]).inserted == {"1"}

    [row] = users(connection)
    assert row["email"] == email


def test_no_users_are_no_error(connection: Connection) -> None:
    assert insert_users(connection, []) == UsersInserted()
    assert find_users(connection, []) == {}


def test_a_user_who_is_there_stays_as_they_are(connection: Connection) -> None:
    insert_users(connection, [user("1", "ada", display_name="first")])

    again = insert_users(connection, [user("1", "other", display_name="second"), user("2", "bob")])

    assert again == UsersInserted(inserted={"2"})
    first = next(row for row in users(connection) if row["cognito_user_id"] == "1")
    assert (first["display_name"], first["handle"]) == ("first", "ada")


def test_of_a_user_who_comes_twice_at_once_the_earlier_event_counts(connection: Connection) -> None:
    later = user("1", "later", created_at=NOON + timedelta(seconds=1))

    assert insert_users(connection, [later, user("1", "earlier"), later]) == UsersInserted(inserted={"1"})

    assert handles(connection) == {"1": "earlier"}


def test_who_wants_a_handle_that_is_taken_gets_it_with_a_suffix(connection: Connection) -> None:
    insert_users(connection, [user("1", "ada")])

    result = insert_users(connection, [user("2", "ada"), user("3", "bob")])

    expected = "ada-" + hash_of("2")[:6]
    assert result == UsersInserted(inserted={"2", "3"}, handles_reassigned={"2": expected})
    assert handles(connection) == {"1": "ada", "2": expected, "3": "bob"}


def test_handles_that_differ_by_case_alone_are_the_same(connection: Connection) -> None:
    insert_users(connection, [user("1", "Åsa")])

    result = insert_users(connection, [user("2", "åSA")])

    assert result.handles_reassigned == {"2": "åSA-" + hash_of("2")[:6]}


@pytest.mark.parametrize(
    "like",
    [
        "ada\u200b",
        "a\u00adda",
        "ad\u200da",
        "ada\ufe0f",
        "\u3164ada",
        "\uff41\uff44\uff41",
        "A\u034fda",
        "\u202eada",
        "ad\u00aa",
    ],
)
def test_handles_that_look_alike_are_the_same(connection: Connection, like: str) -> None:
    insert_users(connection, [user("1", "ada"), user("2", like)])

    assert handles(connection) == {"1": "ada", "2": f"{like}-{hash_of('2')[:6]}"}


@pytest.mark.parametrize(
    ("one", "other"),
    [("ada", "\u0430da"), ("ada", "\u00e4da"), ("STRASSE", "stra\u00dfe"), ("\u039f\u03a3", "\u03bf\u03c2")],
)
def test_handles_in_other_letters_are_others(connection: Connection, one: str, other: str) -> None:
    assert insert_users(connection, [user("1", one), user("2", other)]).handles_reassigned == {}


def test_the_longest_handle_of_the_longest_letters_fits_into_its_index(connection: Connection) -> None:
    """No character becomes more bytes by its normalization: 33 of 3."""
    longest = "\ufdfa" * HANDLE_MAX_LENGTH

    assert insert_users(connection, [user("1", longest), user("2", longest)]).inserted == {"1", "2"}


def test_two_of_one_batch_may_want_the_same_handle(connection: Connection) -> None:
    result = insert_users(connection, [user("2", "ADA"), user("1", "ada")])

    assert result.inserted == {"1", "2"}
    assert handles(connection) == {"1": "ada", "2": "ADA-" + hash_of("2")[:6]}


def test_the_suffix_is_the_same_at_each_delivery(connection: Connection) -> None:
    def handle_of_second() -> str:
        insert_users(connection, [user("1", "ada")])
        insert_users(connection, [user("2", "ada")])
        handle = handles(connection)["2"]
        connection.rollback()  # the worker died before it could commit
        return handle

    assert handle_of_second() == handle_of_second()


def test_a_user_with_a_suffix_keeps_it_when_they_come_again(connection: Connection) -> None:
    insert_users(connection, [user("1", "ada")])
    insert_users(connection, [user("2", "ada")])
    before = handles(connection)

    assert insert_users(connection, [user("2", "ada")]) == UsersInserted()
    assert handles(connection) == before


def test_a_suffix_that_is_taken_on_purpose_is_lengthened(connection: Connection) -> None:
    digest = hash_of("victim")
    insert_users(connection, [user("1", "ada"), user("2", f"ADA-{digest[:6].upper()}")])

    result = insert_users(connection, [user("victim", "ada")])

    assert result == UsersInserted(inserted={"victim"}, handles_reassigned={"victim": f"ada-{digest[:12]}"})


def test_who_can_be_given_no_handle_is_refused_and_the_others_are_not(connection: Connection) -> None:
    digest = hash_of("victim")
    taken = ["ada", *(f"ada-{digest[:length]}" for length in (6, 12, 24))]
    insert_users(connection, [user(str(number), handle) for number, handle in enumerate(taken)])

    result = insert_users(connection, [user("victim", "ada"), user("z", "bob")])

    assert result == UsersInserted(inserted={"z"}, refused={"victim"})


def test_the_longest_handle_is_cut_for_its_suffix(connection: Connection) -> None:
    longest = "a" * HANDLE_MAX_LENGTH
    insert_users(connection, [user("1", longest)])

    result = insert_users(connection, [user("2", longest)])

    handle = result.handles_reassigned["2"]
    assert len(handle) == HANDLE_MAX_LENGTH
    assert handle == "a" * 57 + "-" + hash_of("2")[:6]


def test_users_are_found_by_their_cognito_user_id(connection: Connection) -> None:
    insert_users(connection, [user("1", "ada"), user("2", "bob"), user("3", "eve")])

    found = find_users(connection, ["1", "3", "nobody"])

    assert found == {row["cognito_user_id"]: row["uuid"] for row in users(connection) if row["handle"] != "bob"}
    assert len(found) == 2


def test_a_user_whom_another_worker_is_inserting_is_waited_for_and_not_renamed(database_url: str) -> None:
    with closing(Connection.connect(database_url)) as first, closing(Connection.connect(database_url)) as second:
        insert_users(first, [user("1", "ada")])
        with ThreadPoolExecutor() as executor:
            waiting = executor.submit(insert_users, second, [user("1", "ada")])
            wait_until_blocked(database_url, second)
            first.commit()
            assert waiting.result() == UsersInserted()
        second.commit()
        assert handles(first) == {"1": "ada"}


def test_a_handle_that_another_worker_does_not_commit_after_all_is_free(database_url: str) -> None:
    with closing(Connection.connect(database_url)) as first, closing(Connection.connect(database_url)) as second:
        insert_users(first, [user("1", "ada")])
        with ThreadPoolExecutor() as executor:
            waiting = executor.submit(insert_users, second, [user("2", "ada")])
            wait_until_blocked(database_url, second)
            first.rollback()
            assert waiting.result() == UsersInserted(inserted={"2"})


def wait_until_blocked(url: str, connection: Connection) -> None:
    pid = connection.info.backend_pid

    def is_blocked() -> bool:
        row = observer.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", (pid,)).fetchone()
        return bool(row and row[0])

    with Connection.connect(url, autocommit=True) as observer:
        wait_until(is_blocked, timeout=10, message="the second worker does not wait for the first")


def test_workers_with_the_same_users_in_opposite_orders_do_not_deadlock(database_url: str) -> None:
    everybody = [user(f"{number:03}", f"handle{number}") for number in range(100)]
    together = threading.Barrier(2)

    def run(mine: list[NewUser]) -> set[str]:
        inserted: set[str] = set()
        with Connection.connect(database_url) as connection:
            for start in range(0, len(everybody), 20):
                together.wait()
                inserted |= insert_users(connection, mine[start : start + 20]).inserted
                connection.commit()
        return inserted

    shuffled = [u for start in range(0, len(everybody), 20) for u in reversed(everybody[start : start + 20])]
    with ThreadPoolExecutor() as executor:
        first, second = executor.map(run, (everybody, shuffled))

    assert first | second == {u.cognito_user_id for u in everybody}
    assert not first & second


def profile(
    cognito_user_id: str, handle: str, hours: float, *, number: int = 1, attributes: dict[str, str] | None = None
) -> NewProfile:
    """New after so many hours; `number` is that of its event."""
    at = NOON + timedelta(hours=hours)
    return NewProfile(
        UUID(int=number), cognito_user_id, f"Ada {number}", handle, "new@example.com", at, attributes or {}
    )


def row_of(connection: Connection, cognito_user_id: str) -> dict[str, Any]:
    return next(row for row in users(connection) if row["cognito_user_id"] == cognito_user_id)


def test_attributes_become_json(connection: Connection) -> None:
    attributes = {"custom:tenant_id": "t-1", "locale": 'de "\\ \u00e9 \U0001f600'}

    insert_users(connection, [NewUser("1", "Ada", "ada", None, NOON, attributes), user("2", "bob")])

    assert row_of(connection, "1")["attributes"] == attributes
    assert row_of(connection, "2")["attributes"] == {}


def test_a_profile_replaces_all_of_the_one_before(connection: Connection) -> None:
    insert_users(connection, [NewUser("1", "Ada", "ada", "old@example.com", NOON, {"locale": "en"})])

    result = update_users(connection, [profile("1", "lovelace", 1, attributes={"custom:x": "y"})])

    assert result == UsersUpdated(updated={UUID(int=1)})
    row = row_of(connection, "1")
    assert (row["handle"], row["display_name"], row["email"]) == ("lovelace", "Ada 1", "new@example.com")
    assert (row["attributes"], row["created_at"]) == ({"custom:x": "y"}, NOON)


def test_no_profiles_are_no_error(connection: Connection) -> None:
    assert update_users(connection, []) == UsersUpdated()


def test_the_profile_of_somebody_who_is_not_there_is_left_out(connection: Connection) -> None:
    assert update_users(connection, [profile("1", "ada", 1)]) == UsersUpdated(unknown={"1"})


def test_a_profile_that_is_older_than_the_sign_up_changes_nothing(connection: Connection) -> None:
    insert_users(connection, [user("1", "ada")])

    assert update_users(connection, [profile("1", "older", -1)]) == UsersUpdated()
    assert handles(connection) == {"1": "ada"}


def test_a_profile_twice_is_once(connection: Connection) -> None:
    insert_users(connection, [user("1", "ada")])
    update_users(connection, [profile("1", "lovelace", 1)])

    assert update_users(connection, [profile("1", "lovelace", 1)]) == UsersUpdated()


@pytest.mark.parametrize("together", [False, True])
def test_the_newest_profile_wins_in_whatever_order_they_come(connection: Connection, together: bool) -> None:
    profiles = [profile("1", f"ada{n}", hours, number=n) for n, hours in ((1, 2), (2, 5), (3, 5), (4, 3), (5, 0))]
    for order in random.Random(1).sample(list(permutations(profiles)), 12):
        insert_users(connection, [user("1", "ada")])
        for batch in [list(order)] if together else [[one] for one in order]:
            update_users(connection, batch)

        assert handles(connection) == {"1": "ada3"}  # of two at the same time the greater id
        connection.rollback()


def test_a_handle_that_is_taken_is_treated_as_at_the_sign_up(connection: Connection) -> None:
    insert_users(connection, [user("1", "ada"), user("2", "bob"), user("3", "eve")])

    result = update_users(connection, [profile("2", "ADA", 1, number=2), profile("3", "mallory", 1, number=3)])

    expected = "ADA-" + hash_of("2")[:6]
    assert result == UsersUpdated(updated={UUID(int=2), UUID(int=3)}, handles_reassigned={"2": expected})
    assert handles(connection) == {"1": "ada", "2": expected, "3": "mallory"}


def test_a_handle_that_was_given_up_is_free(connection: Connection) -> None:
    insert_users(connection, [user("1", "ada"), user("2", "bob")])
    update_users(connection, [profile("1", "lovelace", 1)])

    assert update_users(connection, [profile("2", "ada", 1)]).handles_reassigned == {}


def test_ones_own_handle_is_not_taken(connection: Connection) -> None:
    insert_users(connection, [user("1", "ada"), user("2", "ada")])

    update_users(connection, [profile("1", "Ada", 1), profile("2", "ada", 1)])

    assert handles(connection) == {"1": "Ada", "2": "ada-" + hash_of("2")[:6]}


@pytest.mark.parametrize("connection", ["postgres"], indirect=True)
@pytest.mark.server
def test_of_two_workers_with_two_profiles_the_newer_one_wins(connection: Connection, database_url: str) -> None:
    insert_users(connection, [user("1", "ada")])
    connection.commit()
    update_users(connection, [profile("1", "newer", 2, number=2)])
    with closing(Connection.connect(database_url)) as other, ThreadPoolExecutor() as executor:
        older = executor.submit(update_users, other, [profile("1", "older", 1)])
        wait_until(lambda: blocks(connection, other), 10, "the other one does not wait")
        connection.commit()

        assert older.result(10) == UsersUpdated()


def blocks(connection: Connection, other: Connection) -> bool:
    row = connection.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", (other.info.backend_pid,)).fetchone()
    return bool(row and row[0])
