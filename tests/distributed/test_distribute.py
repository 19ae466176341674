"""`signup-sync db distribute`: what it says, and that nothing is lost or changed by it."""

import re
import subprocess
import uuid
from contextlib import closing

import psycopg
import pytest

from db.pool import connect
from signup_sync.postgres.feed import activity_with_replies, home_feed, user_with_activities
from tests.support import command
from tests.support.citus import NODES, SHARDS, Cluster
from tests.support.invoke import invoke

SCHEMA = "signups"


@pytest.fixture
def url(cluster: Cluster) -> str:
    """Of a database with Citus, and nothing else in it."""
    return cluster.create_database(f"own_{uuid.uuid4().hex}")


def db(url: str, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = command.command_environment({"DATABASE_URL": url, "DATABASE_SCHEMA": SCHEMA})
    return invoke("db", *args, environment=environment, stdin=stdin)


def feeds(url: str) -> list[bytes | None]:
    with closing(connect(url, SCHEMA)) as connection:
        [(parent,)] = connection.execute(
            f"SELECT uuid FROM {SCHEMA}.activities WHERE replies_count = 2 ORDER BY uuid LIMIT 1"  # noqa: S608
        ).fetchall()
        return [
            home_feed(connection, schema=SCHEMA),
            user_with_activities(connection, "Ada", schema=SCHEMA),
            activity_with_replies(connection, parent, schema=SCHEMA),
            activity_with_replies(connection, uuid.UUID(int=0), schema=SCHEMA),
            user_with_activities(connection, "nobody", schema=SCHEMA),
        ]


def test_tables_with_rows_are_spread_and_read_as_before(cluster: Cluster, url: str) -> None:
    for args in (["migrate"], ["seed"]):
        assert db(url, *args).returncode == 0
    before = feeds(url)

    done = db(url, "distribute", stdin="y\n")

    assert (done.returncode, done.stdout) == (0, f"distributed over {NODES} nodes\n")
    assert feeds(url) == before
    # What was copied is not left behind, where no deletion would reach it.
    with psycopg.connect(url, options="-c citus.override_table_visibility=off") as connection:
        for name in ("users", "activities"):
            local = connection.execute(f"SELECT pg_relation_size('{SCHEMA}.{name}')").fetchall()
            assert local == [(0,)]
    again = db(url, "distribute")
    assert (again.returncode, again.stdout) == (0, f"distributed already, over {NODES} nodes\n")
    assert db(url, "migrate").stdout == "up to date\n"
    assert db(url, "seed").stdout == "loaded 0 users and 0 activities\n"
    assert db(url, "grant-worker").returncode == 0
    for node in cluster.nodes:
        name = url.rpartition("/")[2]
        assert node.execute(f"SELECT count(*) FROM {SCHEMA}.users", database=name) == [(5,)]  # noqa: S608


def test_it_says_what_it_will_do_and_asks(url: str) -> None:
    assert db(url, "migrate").returncode == 0

    done = db(url, "distribute", stdin="n\n")

    assert (done.returncode, done.stdout) == (2, "")
    assert re.sub(r"\(\d+ kB\)", "(SIZE)", done.stderr).splitlines() == [
        f"users (SIZE) will be whole on each of {NODES} nodes",
        f"activities (SIZE) will be spread over them by uuid, in {SHARDS} parts;",
        "  the foreign key from a reply to its parent goes",
        "Until it is done nobody reads or writes them.",
        "Distribute? [y/N]: signup-sync: nothing was changed",
    ]
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM citus_tables").fetchall() == [(0,)]


def test_what_is_in_its_way_is_one_line(cluster: Cluster, url: str) -> None:
    told = db(url, "distribute")
    assert told.returncode == 2
    assert told.stderr.endswith('schema "signups" does not exist; run signup-sync db migrate\n')

    assert db(url, "migrate").returncode == 0
    with psycopg.connect(url, autocommit=True) as connection:
        for node in cluster.nodes:
            connection.execute("SELECT citus_remove_node('127.0.0.1', %s)", (node.port,))
    told = db(url, "distribute", "--yes")
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert told.stderr.startswith("signup-sync: Citus has no node that may hold rows: add one ")


def test_the_worker_s_role_needs_nothing_more(url: str) -> None:
    role = f"worker_{uuid.uuid4().hex}"
    for args in (["migrate"], ["grant-worker", "--role", role], ["distribute", "--yes"]):
        assert db(url, *args).returncode == 0

    assert db(url.replace("postgres@", f"{role}@"), "seed").stdout == "loaded 5 users and 12 activities\n"
