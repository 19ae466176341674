"""Growth of the tables: what a batch and each read cost when there are many activities, by the keys that they have.

The worker's own statements, on one connection, on a Postgres with the memory of a db.t4g.medium. The caches have what
they would have: all of a small table, and a part of a large one.
"""

import json
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

from benchmarks import control_group
from benchmarks.generated import REACH, Generated, Keys, Progress, generate, handle, posted_keys, user_ids
from benchmarks.process_tree import cpu_seconds, members
from db.connection import Connection
from db.migrations import migrate
from db.tables.activities import NewActivity, insert_activities
from db.tables.deletions import Deletion, count_activities, delete_users
from db.tables.users import NewUser, find_users, insert_users, look_up_users
from signup_sync.postgres.feed import Position, activity_with_replies, home_feed, user_with_activities
from signup_sync.uuid7 import uuid7
from tests.support.postgres import Postgres

BATCH = 100  # rows; the worker's default
REPEATS = 200  # batches, or reads: what is written between two checkpoints
WARM_UP = 20  # of them before
MEMORY = 4 << 30  # bytes, of a db.t4g.medium
MIN_ROWS = 1000

BYTES_PER_ACTIVITY = 400  # with its indexes, and what a sort of them takes meanwhile
FREE = 10 << 30  # bytes that are left to others

_T = TypeVar("_T")

_FILLING = {
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "full_page_writes": "off",
    "maintenance_work_mem": "1GB",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "autovacuum": "off",
}
# As at first, but for the memory; and nobody else is at work, nor a checkpoint that is not asked for.
_MEASURING = {
    "wal_level": "replica",
    "fsync": "on",
    "full_page_writes": "on",
    "effective_cache_size": "3GB",
    "checkpoint_timeout": "1h",
}

_READ_FILE = """
SELECT sum(length(pg_read_binary_file(file, start, 1 << 20)))
FROM pg_relation_filepath(%(relation)s::regclass) AS path
CROSS JOIN generate_series(0, pg_relation_size(%(relation)s::regclass) >> 30) AS segment
CROSS JOIN LATERAL (SELECT path || CASE segment WHEN 0 THEN '' ELSE '.' || segment END) AS files (file)
CROSS JOIN LATERAL generate_series(0, (pg_stat_file(file)).size - 1, 1 << 20) AS start
"""
_SIZES = """
SELECT relname, pg_relation_size(oid) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND (relname ~ '^(users|activities)')
ORDER BY relkind = 'i', relname DESC
"""
_COUNTERS = """
SELECT blks_hit, blks_read, pg_current_wal_insert_lsn() - '0/0', (SELECT wal_fpi FROM pg_stat_wal),
    (SELECT sum(writes) FROM pg_stat_io)
FROM pg_stat_database WHERE datname = current_database()
"""

_COLUMNS = (
    "ms",
    "server CPU ms",
    "blocks",
    "not in shared_buffers",
    "KB from disk",
    "KB of WAL",
    "full pages",
    "pages written",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one call: the median of milliseconds, else averages.

    `hits` and `misses` are blocks found in Postgres' own cache or not; what was read from the disk is what the
    operating system had not either. `full_pages` are those in the write-ahead log, `pages_written` those that went to
    the tables' files, by the end of a checkpoint.
    """

    operation: str
    milliseconds: float
    cpu_milliseconds: float  # of the server
    hits: float
    misses: float
    disk_kilobytes: float
    wal_kilobytes: float
    full_pages: float
    pages_written: float


@dataclass(frozen=True, slots=True)
class Case:
    """Tables of one size, with one kind of keys."""

    activities: int
    users: int
    keys: Keys
    sizes: dict[str, int]  # bytes by relation
    costs: list[Cost]


class NoRoom(Exception):
    """There is too little on the disk; the text is one line."""


def check_room(rows: int, folder: Path) -> None:
    """Raises `NoRoom` if so many activities do not fit there."""
    needed = BYTES_PER_ACTIVITY * rows + FREE
    if (free := shutil.disk_usage(folder).free) < needed:
        raise NoRoom(
            f"{folder} has {free >> 30} GB free, and {rows:,} activities take {needed >> 30}: take fewer --rows, or"
            " another --directory"
        )


def measure_case(
    rows: int, keys: Keys, progress: Progress, folder: Path, *, memory: int = MEMORY, repeats: int = REPEATS
) -> Case:
    """Fill the tables of a new server below `folder`, which has `memory` bytes, and measure."""
    began = time.monotonic()

    def told(step: str) -> None:
        progress(f"{rows:,} {keys}, {time.monotonic() - began:.0f} s: {step}")

    with ExitStack() as stack:
        limit = stack.enter_context(control_group.memory(memory)) if control_group.is_possible("memory") else None
        directory = Path(tempfile.mkdtemp(prefix="growth-", dir=folder))
        server = stack.enter_context(Postgres(directory))
        _restart_with(server, _FILLING)
        url = server.create_database("growth")
        migrate(url)
        generated = generate(url, rows, keys, told)
        server.execute("CHECKPOINT")
        _restart_with(server, _MEASURING | {"shared_buffers": f"{memory >> 22}MB"})
        _forget(directory)
        if limit:
            limit.add(members(server.pid))
        else:
            told("the memory is not limited, as no control group can be made")
        with Connection.connect(url, autocommit=True) as connection:
            sizes = {name: int(size) for name, size in connection.execute(_SIZES)}
            for relation in sizes:  # tables first, then their indexes, which so are cached rather than they
                connection.execute(_READ_FILE, {"relation": relation})
            told("read")
            costs = list(_Measurement(server, connection, generated, keys, repeats, told).costs())
    return Case(rows, generated.users, keys, sizes, costs)


def _restart_with(server: Postgres, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        server.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    server.restart()


def _forget(directory: Path) -> None:
    """Nothing of these files is in memory any more: what the kernel has of them would not count as the server's."""
    for path in directory.rglob("*"):
        if path.is_file():
            with suppress(FileNotFoundError), path.open("rb") as file:  # the server may remove one meanwhile
                os.fsync(file.fileno())  # only what is on the disk can be forgotten (posix_fadvise(2), Notes)
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class _Measurement:
    def __init__(
        self,
        server: Postgres,
        connection: Connection,
        generated: Generated,
        keys: Keys,
        repeats: int,
        progress: Progress,
    ) -> None:
        self._server = server
        self._connection = connection
        self._generated = generated
        self._keys = keys
        self._repeats = repeats
        self._progress = progress
        self._random = random.Random(0)  # noqa: S311 (the same each time)
        self._prolific = user_ids(connection, [0])[0]

    def costs(self) -> Iterator[Cost]:
        """Reads first: what is written is in no cache that they would not find it in."""
        yield from self._reads()
        yield self._cost("insert 100 users", [self._new_users() for _ in range(self._count)], self._insert_users)
        for operation, replies in (("insert 100 activities", 0), ("insert 100 activities, 20 of them replies", 20)):
            batches = [self._new_activities(replies) for _ in range(self._count)]
            yield self._cost(operation, batches, self._insert_activities)
        [uuid] = find_users(self._connection, [self._prolific]).values()
        posted = count_activities(self._connection, uuid)
        yield self._cost(f"delete a user with {posted:,} activities", [self._prolific], self._delete)

    def _reads(self) -> Iterator[Cost]:
        connection = self._connection
        numbers = [self._random.randint(1, self._generated.activities) for _ in range(self._count)]
        activities = posted_keys(connection, numbers)
        authors = [self._author() for _ in range(self._count)]
        yield self._cost("home feed, newest", [None] * self._count, lambda _: home_feed(connection))
        yield self._cost(
            "home feed, from anywhere",
            [Position(time, uuid) for uuid, time in activities],
            lambda position: home_feed(connection, before=position),
        )
        yield self._cost(
            "a user's activities", authors, lambda author: user_with_activities(connection, handle(author))
        )
        yield self._cost(
            "an activity and its replies",
            [uuid for uuid, _ in activities],
            lambda uuid: activity_with_replies(connection, uuid),
        )
        yield self._cost("console: a user", authors, lambda author: look_up_users(connection, handle(author)))
        pages = [user_ids(connection, [self._author() for _ in range(60)]) for _ in range(self._count)]
        yield self._cost("reconcile: 60 users", pages, lambda page: find_users(connection, page))

    @property
    def _count(self) -> int:
        return self._repeats + WARM_UP

    def _author(self) -> int:
        """As `generated` draws them."""
        return int(self._generated.users * self._random.random() ** 2)

    def _new_users(self) -> list[NewUser]:
        names = [str(uuid4()) for _ in range(BATCH)]
        now = datetime.now(UTC)
        return [NewUser(name, "Somebody", f"new-{name}", f"{name}@example.com", now) for name in names]

    def _new_activities(self, replies: int) -> list[NewActivity]:
        authors = user_ids(self._connection, [self._author() for _ in range(BATCH)])
        newest = self._generated.activities
        reach = min(REACH, newest - 1)
        parents = posted_keys(self._connection, [newest - self._random.randint(0, reach) for _ in range(replies)])
        answered = [uuid for uuid, _ in parents] + [None] * (BATCH - replies)
        return [
            NewActivity(self._new_key(), author, "word " * 12, parent, None, datetime.now(UTC))
            for author, parent in zip(authors, answered, strict=True)
        ]

    def _new_key(self) -> UUID:
        return uuid7(time.time_ns() // 1_000_000) if self._keys == "v7" else uuid4()

    def _insert_users(self, users: list[NewUser]) -> None:
        with self._connection.transaction():
            insert_users(self._connection, users)

    def _insert_activities(self, activities: list[NewActivity]) -> None:
        with self._connection.transaction():
            insert_activities(self._connection, activities)

    def _delete(self, cognito_user_id: str) -> None:
        with self._connection.transaction():
            delete_users(self._connection, [Deletion(cognito_user_id, datetime.now(UTC), erases=True)])

    def _cost(self, operation: str, arguments: Sequence[_T], call: Callable[[_T], object]) -> Cost:
        warm_up = WARM_UP if len(arguments) > WARM_UP else 0
        for argument in arguments[:warm_up]:
            call(argument)
        self._checkpoint()
        before = self._counters()
        milliseconds = []
        for argument in arguments[warm_up:]:
            began = time.perf_counter()
            call(argument)
            milliseconds.append(1000 * (time.perf_counter() - began))
        after = self._counters()
        self._checkpoint()
        after[-1] = self._counters()[-1]
        of_one = [(late - early) / len(milliseconds) for early, late in zip(before, after, strict=True)]
        cpu, disk, hits, misses, wal, full_pages, written = of_one
        median = statistics.median(milliseconds)
        cost = Cost(operation, median, 1000 * cpu, hits, misses, disk / 1024, wal / 1024, full_pages, written)
        self._progress(f"{operation}: {median:.1f} ms")
        return cost

    def _checkpoint(self) -> None:
        for _ in range(2):  # a checkpoint's own pages are only counted when it is over
            self._connection.execute("CHECKPOINT")

    def _counters(self) -> list[float]:
        cpu = cpu_seconds(self._connection.info.backend_pid)
        disk = sum(map(_disk_bytes, members(self._server.pid)))
        self._connection.execute("SELECT pg_stat_force_next_flush()")
        [row] = self._connection.execute(_COUNTERS)
        return [cpu, disk, *map(float, row)]


def _disk_bytes(pid: int) -> int:
    """Read from a disk by a process, as far as it is alive (Linux, Documentation/filesystems/proc.rst, "io")."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))


def to_json(case: Case) -> str:
    """A case on one line."""
    return json.dumps(asdict(case))


def to_text(case: Case) -> str:
    """A case as tables of Markdown."""
    lines = [
        f"## {case.activities:,} activities of {case.users:,} users, keys of version {case.keys[1:]}",
        "",
        "| relation | MB | bytes an activity |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {size / 1e6:,.0f} | {size / case.activities:,.0f} |" for name, size in case.sizes.items()),
        "",
        f"| one call | {' | '.join(_COLUMNS)} |",
        "| --- |" + " ---: |" * len(_COLUMNS),
        *(_row(cost) for cost in case.costs),
    ]
    return "\n".join([*lines, ""])


def _row(cost: Cost) -> str:
    numbers = [cost.milliseconds, cost.cpu_milliseconds, cost.hits + cost.misses, cost.misses, cost.disk_kilobytes]
    numbers += [cost.wal_kilobytes, cost.full_pages, cost.pages_written]
    return f"| {cost.operation} | " + " | ".join(f"{number:,.1f}" for number in numbers) + " |"
