"""What people read, and that an index serves each read."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Self
from uuid import UUID

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg import sql

from db.connection import Connection
from db.tables.activities import NewActivity, insert_activities
from db.tables.deletions import Deletion, delete_users
from db.tables.users import NewUser, insert_users
from signup_sync.postgres.feed import Position, activity_with_replies, home_feed, user_with_activities
from tests.support.postgres import Postgres

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

Page = list[dict[str, Any]]


@pytest.fixture
def connection(connection: Connection) -> Connection:
    """With Ada (`1`) and Bob (`2`)."""
    insert_users(connection, [NewUser("1", "Ada L.", "Ada", "ada@example.com", NOON)])
    insert_users(connection, [NewUser("2", "Bob", "bob", None, NOON)])
    return connection


def post(
    connection: Connection,
    message: str,
    *,
    author: str = "1",
    at: datetime = NOON,
    expires_at: datetime | None = None,
    reply_to: UUID | None = None,
    uuid_: UUID | None = None,
) -> UUID:
    activity = NewActivity(uuid_ or uuid.uuid4(), author, message, reply_to, expires_at, at)
    assert insert_activities(connection, [activity]).inserted == {activity.uuid}
    return activity.uuid


def messages(page: Page) -> list[str]:
    return [activity["message"] for activity in page]


def home(connection: Connection, *, before: Position | None = None, limit: int = 20) -> Page:
    page: Page = json.loads(home_feed(connection, before=before, limit=limit))
    return page


def ago(hours: float) -> datetime:
    return datetime.now(UTC) - hours * HOUR


def test_the_home_feed_is_what_everybody_posted_newest_first(connection: Connection) -> None:
    post(connection, "first", at=NOON)
    post(connection, "third", at=NOON + 2 * HOUR)
    post(connection, "second", author="2", at=NOON + HOUR)

    assert messages(home(connection)) == ["third", "second", "first"]


def test_an_activity_comes_with_its_author_and_without_their_address(connection: Connection) -> None:
    parent = post(connection, "Hello", at=NOON)
    post(connection, "Hi", author="2", at=NOON + HOUR, reply_to=parent)

    reply, hello = home(connection)

    assert hello == {
        "uuid": str(parent),
        "handle": "Ada",
        "display_name": "Ada L.",
        "message": "Hello",
        "replies_count": 1,
        "reposts_count": 0,
        "likes_count": 0,
        "reply_to_activity_uuid": None,
        "expires_at": None,
        "created_at": "2026-01-31T12:00:00+00:00",
    }
    assert (reply["handle"], reply["reply_to_activity_uuid"]) == ("bob", str(parent))


def test_what_has_expired_is_left_out_everywhere(connection: Connection) -> None:
    parent = post(connection, "lasting", at=ago(9), expires_at=ago(-9))
    post(connection, "over", at=ago(8), expires_at=ago(1), reply_to=parent)
    over = post(connection, "over too", at=ago(8), expires_at=ago(1))

    assert messages(home(connection)) == ["lasting"]
    assert messages(json.loads(user_with_activities(connection, "ada") or b"")["activities"]) == ["lasting"]
    assert json.loads(activity_with_replies(connection, parent) or b"")["replies"] == []
    assert activity_with_replies(connection, over) is None


def test_what_is_erased_is_left_out_and_shown_as_deleted_where_it_was_replied_to(connection: Connection) -> None:
    parent = post(connection, "erased", at=NOON)
    post(connection, "erased, too", reply_to=parent)
    inner = post(connection, "erased with a reply", at=NOON + HOUR, reply_to=parent)
    post(connection, "kept", author="2", at=NOON + 2 * HOUR, reply_to=inner)
    delete_users(connection, [Deletion("1", NOON + 3 * HOUR, erases=True)])

    assert messages(home(connection)) == ["kept"]
    assert user_with_activities(connection, "ada") is None
    thread = json.loads(activity_with_replies(connection, parent) or b"")
    assert (thread["message"], thread["handle"], thread["deleted_at"]) == (None, None, "2026-01-31T15:00:00+00:00")
    assert [(reply["uuid"], reply["message"]) for reply in thread["replies"]] == [(str(inner), None)]


def test_an_empty_feed_is_an_empty_array(connection: Connection) -> None:
    assert home_feed(connection) == b"[]"


def paged(read: Callable[[Position | None], Page]) -> list[str]:
    """All messages, page by page."""
    seen: list[str] = []
    position = None
    while page := read(position):
        seen += messages(page)
        position = Position.of(page[-1])
    return seen


def test_pages_hold_everything_once_also_where_times_are_equal(connection: Connection) -> None:
    for number in range(10):
        post(connection, str(number), at=NOON + timedelta(microseconds=number // 4))

    seen = paged(lambda before: home(connection, before=before, limit=3))

    assert sorted(seen) == [str(number) for number in range(10)]
    assert [int(number) // 4 for number in seen] == [2, 2, 1, 1, 1, 1, 0, 0, 0, 0]


def test_what_is_posted_meanwhile_moves_no_page(connection: Connection) -> None:
    for number in range(4):
        post(connection, str(number), at=NOON + number * HOUR)
    first = home(connection, limit=2)
    post(connection, "new", at=NOON + 9 * HOUR)

    assert messages(home(connection, before=Position.of(first[-1]))) == ["1", "0"]


def test_a_user_is_found_by_handle_in_any_case_with_their_activities(connection: Connection) -> None:
    for number in range(5):
        post(connection, str(number), at=NOON + number * HOUR)
    post(connection, "somebody else's", author="2")

    def read(before: Position | None) -> Page:
        body = user_with_activities(connection, "aDA", before=before, limit=2)
        assert body is not None
        user = json.loads(body)
        assert (user["handle"], user["display_name"]) == ("Ada", "Ada L.")
        assert set(user) == {"uuid", "handle", "display_name", "created_at", "activities"}
        page: Page = user["activities"]
        return page

    assert paged(read) == ["4", "3", "2", "1", "0"]


@pytest.mark.parametrize("schema", ["", 'a"; DROP TABLE users; --', "a%b", "pg_catalog"])
def test_no_schema_of_another_kind_of_name_is_asked(connection: Connection, schema: str) -> None:
    with pytest.raises(ValueError, match="a schema's name"):
        home_feed(connection, schema=schema)


def test_nobody_has_no_activities(connection: Connection) -> None:
    assert user_with_activities(connection, "nobody") is None
    assert json.loads(user_with_activities(connection, "bob") or b"")["activities"] == []


def test_an_activity_has_its_own_replies_oldest_first(connection: Connection) -> None:
    parent = post(connection, "parent")
    replies = [
        post(connection, str(number), author="2", at=NOON + (5 - number) * HOUR, reply_to=parent) for number in range(5)
    ]
    post(connection, "a reply's reply", reply_to=replies[0])

    def read(after: Position | None) -> Page:
        body = activity_with_replies(connection, parent, after=after, limit=2)
        assert body is not None
        activity = json.loads(body)
        assert (activity["message"], activity["handle"], activity["replies_count"]) == ("parent", "Ada", 5)
        page: Page = activity["replies"]
        assert {reply["handle"] for reply in page} <= {"bob"}
        return page

    assert paged(read) == ["4", "3", "2", "1", "0"]


def test_an_activity_that_is_not_there_is_none(connection: Connection) -> None:
    assert activity_with_replies(connection, uuid.uuid4()) is None


def test_a_position_is_what_its_text_says() -> None:
    position = Position(NOON + timedelta(microseconds=1), UUID(int=7))

    assert str(position) == "2026-01-31T12:00:00.000001Z/00000000-0000-0000-0000-000000000007"
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize("text", ["", "x", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00/" + str(UUID(int=7)), "/"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the text is Python's)
        Position.parse(text)


days = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 (Hypothesis adds the zone)
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-1439, 1439)),
)


@given(created_at=days, uuid_=st.uuids())
def test_a_position_is_the_same_when_it_was_written_and_read(created_at: datetime, uuid_: UUID) -> None:
    position = Position(created_at, uuid_)

    assert Position.parse(str(position)) == position


parts_of_positions = st.text(st.characters(exclude_categories=()), max_size=5) | st.sampled_from(
    [*"/TZ:", "0001-01-01", "2026-01-31", "9999-12-31", "T12:00:00", "00:00", "+23:59", "-23:59", str(UUID(int=7))]
)


@given(st.lists(parts_of_positions, max_size=6).map("".join))
@example("0001-01-01T00:00:00+23:59/00000000-0000-0000-0000-000000000007")
@example("9999-12-31T23:59:59-23:59/00000000-0000-0000-0000-000000000007")
def test_any_text_at_all_is_a_position_or_refused_in_one_line(text: str) -> None:
    outcome = outcome_of(text)

    if isinstance(outcome, ValueError):
        assert len(str(outcome).splitlines()) == 1
    else:
        assert Position.parse(str(outcome)) == outcome


def outcome_of(text: str) -> Position | ValueError:
    try:
        return Position.parse(text)
    except ValueError as error:
        return error


@given(times=st.lists(st.integers(0, 3), max_size=12), size=st.integers(1, 7))
def test_pages_of_any_size_hold_everything_once_and_in_order(
    connection: Connection, times: list[int], size: int
) -> None:
    with connection.transaction(force_rollback=True):
        parent = post(connection, "parent", author="2", at=NOON - HOUR)
        for number, microseconds in enumerate(times):
            at = NOON + timedelta(microseconds=microseconds)
            post(connection, f"{microseconds} {number}", at=at, reply_to=parent)

        def of_user(before: Position | None) -> Page:
            page = json.loads(user_with_activities(connection, "ada", before=before, limit=size) or b"")["activities"]
            return list(page)

        def replies(after: Position | None) -> Page:
            page = json.loads(activity_with_replies(connection, parent, after=after, limit=size) or b"")["replies"]
            return list(page)

        newest_first = paged(of_user)
        assert paged(lambda before: home(connection, before=before, limit=size)) == [*newest_first, "parent"]
        assert paged(replies) == newest_first[::-1]
    assert sorted(newest_first) == sorted(f"{microseconds} {number}" for number, microseconds in enumerate(times))
    assert [int(message.split()[0]) for message in newest_first] == sorted(times, reverse=True)


# 2,000 users, of whom user 7 has posted a tenth of the 100,000 activities in 70 days. A third are replies, a tenth of
# those to activity 12; of the rest a tenth has expired.
_USERS = """
INSERT INTO users (cognito_user_id, display_name, handle)
SELECT 'user-' || n, 'User ' || n, 'Handle' || n FROM generate_series(1, 2000) AS n
"""
_ACTIVITIES = """
INSERT INTO activities (uuid, user_uuid, message, reply_to_activity_uuid, expires_at, created_at)
SELECT
    lpad(to_hex(n), 32, '0')::uuid,
    users.uuid,
    'Message ' || n,
    CASE WHEN n % 30 = 0 THEN lpad(to_hex(12), 32, '0') WHEN n % 3 = 0 THEN lpad(to_hex(n / 3), 32, '0') END::uuid,
    CASE WHEN n % 10 = 1 THEN now() - interval '1 hour' END,
    now() - interval '1 minute' * (100001 - n)
FROM generate_series(1, 100000) AS n
INNER JOIN users ON users.cognito_user_id = 'user-' || CASE WHEN n % 10 = 7 THEN 7 ELSE n * 7919 % 2000 + 1 END
"""


@pytest.fixture(scope="module")
def large(postgres: Postgres, migrated_template: str) -> Iterator[Connection]:
    """A connection to a database with 100,000 activities."""
    name = f"large_{uuid.uuid4().hex}"
    with closing(
        Connection.connect(postgres.create_database(name, template=migrated_template), autocommit=True)
    ) as large:
        for statement in (_USERS, _ACTIVITIES, "ANALYZE"):
            large.execute(statement.encode())
        yield large
    postgres.drop_database(name)


@pytest.fixture
def plans(large: Connection) -> Iterator[list[dict[str, Any]]]:
    """The plans of all statements that `large` runs, of each as it is sent."""
    found: list[dict[str, Any]] = []

    class ExplainingCursor(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
            text = query.as_string(self) if isinstance(query, sql.Composable) else query
            (row,) = super().execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}".encode(), params).fetchall()
            found.append(row[0][0]["Plan"])
            return super().execute(query, params, **options)

    large.cursor_factory = ExplainingCursor
    yield found
    large.cursor_factory = psycopg.Cursor


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


POPULAR = UUID(int=12)
MIDDLE = Position(datetime.now(UTC) - timedelta(minutes=50_000), UUID(int=50_000))


@pytest.mark.parametrize(
    ("index", "read"),
    [
        ("activities_created_at_idx", home_feed),
        ("activities_created_at_idx", lambda large: home_feed(large, before=MIDDLE)),
        ("activities_user_uuid_idx", lambda large: user_with_activities(large, "HANDLE7")),
        ("users_handle_key", lambda large: user_with_activities(large, "HANDLE7", before=MIDDLE)),
        ("activities_reply_to_idx", lambda large: activity_with_replies(large, POPULAR)),
        ("activities_pkey", lambda large: activity_with_replies(large, POPULAR, after=MIDDLE)),
    ],
    ids=["home", "home, later", "user", "user, later", "replies", "replies, later"],
)
def test_a_read_of_100_000_activities_uses_its_index(
    large: Connection, plans: list[dict[str, Any]], index: str, read: Callable[[Connection], bytes | None]
) -> None:
    assert read(large)

    (plan,) = plans
    parts = list(nodes(plan))
    assert index in {part.get("Index Name") for part in parts}
    assert "Seq Scan" not in {part["Node Type"] for part in parts}
    # It stops when the page is full, having looked up so many authors: nothing grows with the table.
    assert max(part["Actual Rows"] * part["Actual Loops"] for part in parts) <= 20
    assert sum(part.get("Rows Removed by Filter", 0) * part["Actual Loops"] for part in parts) <= 20


def test_a_page_in_the_middle_of_100_000_activities_is_full(large: Connection) -> None:
    page = json.loads(home_feed(large, before=MIDDLE))

    assert len(page) == 20
    assert all(Position.of(activity).created_at < MIDDLE.created_at for activity in page)
    numbers = [UUID(activity["uuid"]).int for activity in page]
    assert numbers == sorted(numbers, reverse=True)
