"""Ownership of what is in the schema: an application's own `users` is not ours to change."""

import psycopg
from sqlalchemy import Connection

from db.statements import statement
from signup_sync.postgres.errors import describe

# By their names, columns that they have had from the first revision on, and that nobody else's is likely to have.
_OURS = {
    "users": {"cognito_user_id", "display_name", "handle"},
    "activities": {"user_uuid", "reply_to_activity_uuid", "replies_count"},
    "alembic_version": {"version_num"},
}
TABLES = [*_OURS, "worker_pause"]
FUNCTIONS = ["set_updated_at()", "handle_key(text)"]
"""With the types of their arguments."""


class MigrationRefused(Exception):
    """One line that says what is in the way, and what to do. Nothing was changed."""


def check_ownership(connection: Connection, schema: str) -> None:
    """Raise `MigrationRefused` unless the schema has our tables, or nothing of their names.

    Alembic's own table alone says nothing: it has the same name in every application, and often the same numbers in it.
    """
    rows = connection.exec_driver_sql(statement("find_relations"), {"schema": schema, "names": TABLES})
    columns = {name: set(names) if is_table else set() for name, is_table, names in rows}
    if not all(own <= columns.get(name, set()) for name, own in _OURS.items()):
        for name in TABLES:
            if name in columns:
                raise _in_the_way(f"{schema}.{name} is there already, and")


def taken(error: psycopg.Error, schema: str) -> MigrationRefused:
    """For what a revision was to make and found there."""
    return _in_the_way(f"{error.diag.message_primary} in the schema {schema}, and")


def not_permitted(
    error: psycopg.errors.InsufficientPrivilege, schema: str, owner: str | None = None
) -> MigrationRefused:
    """For what the role may not do that migrates, or makes the owner."""
    if owner is not None:
        return MigrationRefused(
            f"database: {describe(error)}; with DATABASE_OWNER={owner} log in as who may make that role (CREATEROLE) "
            f"or become it, may create in the schema {schema}, and owns its tables; nothing was changed"
        )
    return MigrationRefused(
        f"database: {describe(error)}; migrate as the owner of the schema {schema} and its tables, or grant this role "
        "CREATE on the schema (on the database, where the schema is not there yet); nothing was changed"
    )


def _in_the_way(what: str) -> MigrationRefused:
    return MigrationRefused(
        f"{what} is not signup-sync's: set DATABASE_SCHEMA to another schema (it is made); nothing was changed"
    )
