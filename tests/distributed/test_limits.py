"""The limits of a statement, and the probe, reach the nodes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from db.pool import Database
from db.tables.activities import NewActivity, insert_activities
from db.tables.users import NewUser, insert_users
from signup_sync.postgres.errors import Fault, fault_of, is_too_slow
from tests.support.citus import Cluster, Node
from tests.support.wait import wait_until

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
LONG = 60_000  # milliseconds
POSTS = [NewActivity(UUID(int=number << 96), "ada", "hello", None, None, NOON) for number in range(100)]


@contextmanager
def opened(url: str, statement_timeout_ms: int = LONG, lock_timeout_ms: int = LONG) -> Iterator[Database]:
    database = Database(
        url, max_connections=1, statement_timeout_ms=statement_timeout_ms, lock_timeout_ms=lock_timeout_ms
    )
    database.open()
    try:
        yield database
    finally:
        database.close()


@contextmanager
def locked(node: Node, url: str, prefix: str) -> Iterator[None]:
    """On that node alone, the tables whose names begin so: ours, and their parts."""
    options = "-c citus.override_table_visibility=off -c citus.enable_manual_changes_to_shards=on"
    with psycopg.connect(
        node.url(url.rpartition("/")[2]), options=f"{options} -c citus.enable_ddl_propagation=off"
    ) as c:
        for (name,) in c.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE %s", (prefix + "%",)).fetchall():
            c.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(name)))
        yield


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"lock_timeout_ms": 100}, psycopg.errors.LockNotAvailable),
        ({"statement_timeout_ms": 300}, psycopg.errors.QueryCanceled),
    ],
)
def test_who_waits_too_long_on_a_node_gives_up(
    cluster: Cluster, distributed_url: str, limits: dict[str, int], error: type[psycopg.Error]
) -> None:
    with opened(distributed_url, **limits) as database:
        with database.transaction() as connection:
            insert_users(connection, [NewUser("ada", "Ada", "ada", None, NOON)])
        with (
            locked(cluster.nodes[0], distributed_url, "activities_1"),
            pytest.raises(error) as raised,
            database.transaction() as connection,
        ):
            insert_activities(connection, POSTS)

        assert is_too_slow(raised.value)
        with database.transaction() as connection:
            assert insert_activities(connection, POSTS).inserted == {post.uuid for post in POSTS}


def test_the_probe_finds_a_node_that_keeps_writers_out(cluster: Cluster, distributed_url: str) -> None:
    with opened(distributed_url) as database:
        with locked(cluster.nodes[1], distributed_url, "activities"), pytest.raises(psycopg.Error):
            database.probe()
        database.probe()


def test_the_probe_finds_a_node_that_is_away(cluster: Cluster, distributed_url: str) -> None:
    with opened(distributed_url) as database:
        cluster.nodes[0].stop()
        try:
            with pytest.raises(psycopg.Error) as raised:
                database.probe()
            assert fault_of(raised.value) is Fault.DATABASE
            with pytest.raises(psycopg.Error):
                database.rehearse()
        finally:
            cluster.nodes[0].start()

        wait_until(lambda: _answers(database), 20, "the node is back, and the probe fails")


def _answers(database: Database) -> bool:
    try:
        database.probe()
        database.rehearse()
    except psycopg.Error:
        return False
    return True
