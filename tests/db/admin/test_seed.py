import json
from datetime import UTC, datetime
from uuid import UUID

from db.admin.seed import seed
from db.connection import Connection
from db.tables.users import NewUser, insert_users
from signup_sync.postgres.feed import activity_with_replies, home_feed


def everything(connection: Connection) -> tuple[object, ...]:
    users = connection.execute("SELECT * FROM users ORDER BY uuid").fetchall()
    return users, connection.execute("SELECT * FROM activities ORDER BY uuid").fetchall()


def test_the_sample_data_shows_what_the_tables_can_hold(connection: Connection) -> None:
    loaded = seed(connection)

    users, activities = everything(connection)
    assert (len(users), len(activities)) == (loaded.users, loaded.activities)  # type: ignore[arg-type] # lists
    feed = json.loads(home_feed(connection, limit=100))
    assert len(feed) == loaded.activities - 1  # one has expired
    assert len({activity["handle"] for activity in feed}) == loaded.users
    assert any(activity["expires_at"] for activity in feed)
    assert all(datetime.fromisoformat(activity["created_at"]) < datetime.now(UTC) for activity in feed)


def test_replies_are_counted_and_found(connection: Connection) -> None:
    seed(connection)

    feed = json.loads(home_feed(connection, limit=100))
    parents = [activity for activity in feed if activity["replies_count"]]
    assert parents
    for parent in parents:
        body = activity_with_replies(connection, UUID(parent["uuid"]))
        assert body is not None
        assert len(json.loads(body)["replies"]) == parent["replies_count"]


def test_it_may_be_loaded_twice(connection: Connection) -> None:
    seed(connection)
    before = everything(connection)

    again = seed(connection)

    assert (again.users, again.activities) == (0, 0)
    assert everything(connection) == before


def test_somebody_who_has_a_handle_of_it_keeps_it(connection: Connection) -> None:
    insert_users(connection, [NewUser("1", "Another Ada", "ada", None, datetime(2026, 1, 31, tzinfo=UTC))])

    assert seed(connection).users == 5

    rows = connection.execute("SELECT display_name FROM users WHERE handle = 'ada'").fetchall()
    assert rows == [("Another Ada",)]
