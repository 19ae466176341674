"""The Postgres that everybody writes to: embedded, but as careful with its data as in production."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import psycopg

from db.migrations import migrate
from tests.support.postgres import Postgres

NAME = "benchmark"

# The tests' server does without the first two. Where it differs from a fresh installation: more memory, and the time of
# each commit is kept.
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    "max_connections": "100",
    "track_commit_timestamp": "on",
    "max_wal_size": "4GB",
}


class Written(NamedTuple):
    """What is in `users`, and how many transactions it took to write it."""

    rows: int
    commits: int


class Database:
    """One database with the worker's tables."""

    def __init__(self) -> None:
        self._server = Postgres()
        self._old_rows = 0

    def __enter__(self) -> Self:
        self._server.start()
        for name, value in SETTINGS.items():
            self._server.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self._server.restart()
        self.url = self._server.create_database(NAME)
        migrate(self.url)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    @property
    def version(self) -> str:
        return str(self._server.execute("SHOW server_version")[0][0])

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        return self._server.pid

    def reset(self, rows: int = 0) -> None:
        """Remove the users of the last measurement, and have so many in the table who are not part of any."""
        if rows and self._old_rows == rows:
            self._execute("DELETE FROM users WHERE created_at >= '2021-01-01'")  # these many old ones took minutes
        else:
            self._execute("TRUNCATE users CASCADE")
            self._insert_old(rows)
        self._execute("VACUUM ANALYZE users")
        self._execute("CHECKPOINT")

    def _insert_old(self, rows: int) -> None:
        # In the order of the indexes, which is several times as fast; those who come later are anywhere between them.
        self._execute(
            "INSERT INTO users (cognito_user_id, display_name, handle, email, created_at)"
            " SELECT id, 'Somebody', id, id || '@example.com', '2020-01-01'"
            " FROM (SELECT gen_random_uuid()::text AS id FROM generate_series(1, %s) ORDER BY id) AS old",
            (rows,),
        )
        self._old_rows = rows

    @contextmanager
    def slow_commits(self, milliseconds: int) -> Iterator[None]:
        """Let each commit take so much longer, as a slow disk would."""
        # With no siblings asked for, each commit waits (PostgreSQL documentation, 19.5 "Write Ahead Log").
        self._configure(commit_delay=1000 * milliseconds, commit_siblings=0)
        try:
            yield
        finally:
            self._configure(commit_delay=0, commit_siblings=5)

    def _configure(self, **settings: int) -> None:
        for name, value in settings.items():
            self._server.execute(f"ALTER SYSTEM SET {name} = {value}")
        self._server.execute("SELECT pg_reload_conf()")

    def written(self) -> Written:
        """The users of the measurement: those of this year and later."""
        query = "SELECT count(*), count(DISTINCT xmin::text) FROM users WHERE created_at >= '2021-01-01'"
        return Written(*self._execute(query)[0])

    def wait_for_rows(self, count: int, timeout: float) -> None:
        """Wait until so many users are there. Asks seldom, as that takes CPU too."""
        deadline = time.monotonic() + timeout
        while self.written().rows < count and time.monotonic() < deadline:
            time.sleep(0.2)

    def latencies(self) -> list[float]:
        """Milliseconds from each event's time to its commit."""
        query = (
            "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - created_at)::float8 * 1000 FROM users"
            " WHERE created_at >= '2021-01-01'"
        )
        return [row[0] for row in self._execute(query)]

    def _execute(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []
