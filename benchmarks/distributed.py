"""What writing costs on a cluster of Citus, beside one Postgres: `python -m benchmarks.distributed [BATCHES]`.

All servers, the coordinator and the nodes, are on this machine and share its cores, so that the messages a second say
what all of it costs and nothing about how it scales. Needs Citus for the system's Postgres.
"""

import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime

import psycopg

from benchmarks.process_tree import cpu_seconds
from db.admin.distribution import distribute
from db.migrations import migrate
from db.pool import Database, connect
from db.tables.activities import NewActivity, insert_activities
from db.tables.users import NewUser, insert_users
from tests.support.citus import Cluster, Node

BATCH = 100  # messages
WRITERS = 2
REPLIES = 0.2  # of the activities
AUTHORS = 200
PARENTS = 500
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Load:
    """Sign-ups, or activities of known authors, a batch a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._authors = [f"author-{number}" for number in range(AUTHORS)]
        self._parents = [uuid.uuid4() for _ in range(PARENTS)]
        with database.transaction() as connection:
            insert_users(connection, [NewUser(name, name, name, None, NOON) for name in self._authors])
            insert_activities(connection, [self._activity(key, None) for key in self._parents])

    def sign_ups(self) -> None:
        names = [str(uuid.uuid4()) for _ in range(BATCH)]
        with self._database.transaction() as connection:
            insert_users(connection, [NewUser(name, "Ada L.", name, f"{name}@example.com", NOON) for name in names])

    def activities(self) -> None:
        chance = random.random
        rows = [
            self._activity(uuid.uuid4(), random.choice(self._parents) if chance() < REPLIES else None)  # noqa: S311
            for _ in range(BATCH)
        ]
        with self._database.transaction() as connection:
            insert_activities(connection, rows)

    def _activity(self, key: uuid.UUID, parent: uuid.UUID | None) -> NewActivity:
        author = random.choice(self._authors)  # noqa: S311
        return NewActivity(key, author, "hello world " * 12, parent, None, NOON)


def main() -> None:
    batches = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print("nodes | shards | what | messages/s | ms a batch, alone | CPU µs a message: client, coordinator, nodes")  # noqa: T201
    for nodes, shards in [(0, 0), (1, 8), (2, 8), (3, 8), (2, 32)]:
        with ExitStack() as stack:
            cluster = stack.enter_context(Cluster(nodes))
            database = stack.enter_context(_opened(_url(cluster, shards)))
            load = Load(database)
            for what, write in (("sign-ups", load.sign_ups), ("activities", load.activities)):
                write()
                row = [str(nodes), str(shards), what, *_measure(cluster, write, batches)]
                print(" | ".join(row), flush=True)  # noqa: T201


def _url(cluster: Cluster, shards: int) -> str:
    if not cluster.nodes:
        cluster.coordinator.execute("CREATE DATABASE plain")
        url = cluster.coordinator.url("plain")
        migrate(url)
        return url
    url = cluster.create_database("spread")
    migrate(url)
    with closing(connect(f"{url}?options=-c%20citus.shard_count%3D{shards}")) as connection:
        distribute(connection)
    return url


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = Database(url, max_connections=WRITERS, statement_timeout_ms=10_000, lock_timeout_ms=5000)
    database.open()
    try:
        yield database
    finally:
        database.close()


def _measure(cluster: Cluster, write: Callable[[], None], batches: int) -> Sequence[str]:
    began = time.monotonic()
    for _ in range(batches):
        write()
    alone = 1000 * (time.monotonic() - began) / batches
    before = time.process_time(), _cpu([cluster.coordinator]), _cpu(cluster.nodes)
    began = time.monotonic()
    with ThreadPoolExecutor(WRITERS) as executor:
        for done in [executor.submit(write) for _ in range(WRITERS * batches)]:
            done.result()
    took = time.monotonic() - began
    after = time.process_time(), _cpu([cluster.coordinator]), _cpu(cluster.nodes)
    messages = WRITERS * batches * BATCH
    client, coordinator, nodes = (1e6 * (b - a) / messages for a, b in zip(before, after, strict=True))
    return f"{messages / took:,.0f}", f"{alone:.1f}", f"{client:.0f}, {coordinator:.0f}, {nodes:.0f}"


def _cpu(servers: Sequence[Node]) -> float:
    return cpu_seconds(*(server.pid for server in servers))


if __name__ == "__main__":
    try:
        main()
    except psycopg.Error as error:
        sys.exit(f"benchmarks.distributed: {error}")
