"""Distribution of our tables over the nodes of Citus.

`users` is whole on every node (a reference table), as its three unique keys have no column in common. `activities` is
spread by `uuid`, which stays the primary key, and so is what makes a second delivery harmless (Citus documentation,
"Creating and Modifying Distributed Objects (DDL)": a unique key has the column by which a table is spread). A reply and
its parent may be on two nodes, so the foreign key between them goes; the worker looks for the parent anyway. All other
tables stay on the coordinator.
"""

from dataclasses import dataclass

from psycopg import sql

from db.connection import Connection
from db.statements import qualified, statement


class NotDistributable(Exception):
    """One line that says what is in the way, and what to do. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What is there, and what would become of it: `nodes` hold rows, `shards` are the parts of `activities`, and the
    sizes are those of the tables as they are on this server, for people to read."""

    nodes: int
    shards: int
    users_size: str
    activities_size: str
    is_done: bool


def find_distribution(connection: Connection) -> Distribution:
    """How our tables are distributed, or would be.

    Raises `NotDistributable` where there is no Citus or no node, and `psycopg.Error`, `UndefinedTable` where the tables
    are not there.
    """
    if not connection.has_citus:
        raise NotDistributable(
            "this database has no Citus: install it on all nodes, and run CREATE EXTENSION citus on each of them"
        )
    row = connection.execute(statement("find_distribution"), {"schema": connection.schema}).fetchone()
    assert row is not None  # noqa: S101 (a SELECT without FROM has one row)
    nodes, shards, users_size, activities_size, has_users, has_activities = row
    if not nodes:
        raise NotDistributable("Citus has no node that may hold rows: add one (SELECT citus_add_node('HOST', 5432))")
    return Distribution(nodes, shards, users_size, activities_size, is_done=has_users and has_activities)


def distribute(connection: Connection) -> None:
    """Distribute what is not distributed yet, rows included, in one transaction. Raises `psycopg.Error`."""
    schema = {"schema": connection.schema}
    with connection.transaction():
        connection.execute(qualified("lock_tables_to_distribute", connection.schema))
        for (key,) in connection.execute(statement("find_keys_of_replies"), schema).fetchall():
            _drop_key(connection, key)
        connection.execute(statement("allow_triggers_on_nodes"))
        for name in ("users", "activities"):
            connection.execute(statement(f"distribute_{name}"), schema)
        for name in ("users", "activities"):
            connection.execute(statement("truncate_distributed"), {**schema, "name": name})


def _drop_key(connection: Connection, key: str) -> None:
    # Names cannot be parameters in such statements: they are quoted here.
    names = {"schema": sql.Identifier(connection.schema), "key": sql.Identifier(key)}
    connection.execute(sql.SQL(statement("drop_key_of_replies")).format(**names))
