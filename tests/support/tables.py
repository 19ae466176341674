"""What is in the tables, as far as it does not depend on when or by whom it was written."""

import psycopg


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


def names(database_url: str) -> set[str]:
    """The `cognito_user_id` of all users."""
    return {str(row[0]) for row in users(database_url)}


def _rows(database_url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query.encode()).fetchall()
