"""What is in the tables, as far as it does not depend on when or by whom it was written; and what a test puts there."""

from typing import Any

import psycopg

from db.connection import Connection
from db.tables.activities import NewActivity, insert_activities
from db.tables.users import NewUser, insert_users
from signup_sync.events import ActivityCreated, UserSignedUp, parse_event


def write(database_url: str, *bodies: str) -> None:
    """Write what these events say, as a worker does, for tests to which it does not matter who has."""
    events = [parse_event(body) for body in bodies]
    with Connection.connect(database_url) as connection:
        insert_users(connection, [_new_user(event) for event in events if isinstance(event, UserSignedUp)])
        insert_activities(connection, [_new_activity(event) for event in events if isinstance(event, ActivityCreated)])


def users(database_url: str) -> list[tuple[object, ...]]:
    """All users, without what Postgres generated."""
    return _rows(
        database_url,
        "SELECT cognito_user_id, display_name, handle, email, created_at FROM users ORDER BY cognito_user_id",
    )


def activities(database_url: str) -> list[tuple[object, ...]]:
    """All activities with their author's `cognito_user_id`, without what Postgres generated."""
    return _rows(
        database_url,
        """
        SELECT activities.uuid, cognito_user_id, message, replies_count, reposts_count, likes_count,
            reply_to_activity_uuid, expires_at, activities.created_at
        FROM activities JOIN users ON users.uuid = user_uuid ORDER BY activities.uuid
        """,
    )


def lives(database_url: str) -> list[tuple[object, ...]]:
    """All users with what changes and deletions made of them, without what Postgres generated."""
    return _rows(
        database_url,
        """
        SELECT cognito_user_id, display_name, handle, email, attributes, created_at, profile_at, profile_event,
            deleted_at
        FROM users ORDER BY cognito_user_id
        """,
    )


def erased(database_url: str) -> list[tuple[Any, Any]]:
    """The id of each activity, and since when it is erased; of those that are not, None."""
    return [(row[0], row[1]) for row in _rows(database_url, "SELECT uuid, deleted_at FROM activities")]


def everything(database_url: str) -> str:
    """All rows of all tables, as text."""
    tables = _rows(database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [_rows(database_url, f'SELECT "{name}"::text FROM "{name}"') for (name,) in tables]  # noqa: S608 (as above)
    return "\n".join(str(row[0]) for table in rows for row in table)


def names(database_url: str) -> set[str]:
    """The `cognito_user_id` of all users."""
    return {str(row[0]) for row in users(database_url)}


def _rows(database_url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query.encode()).fetchall()


def _new_user(event: UserSignedUp) -> NewUser:
    data = event.data
    return NewUser(data.cognito_user_id, data.display_name, data.handle, data.email, event.time)


def _new_activity(event: ActivityCreated) -> NewActivity:
    data = event.data
    return NewActivity(
        event.id, data.cognito_user_id, data.message, data.reply_to_activity_uuid, data.expires_at, event.time
    )
