"""PgBouncer in transaction mode, Debian's package, between a test and its Postgres."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg

from tests.support.orphan_guard import OrphanGuard
from tests.support.ports import free_port
from tests.support.wait import wait_until

WHY_MISSING = "needs PgBouncer: apt-get install pgbouncer, or as root tests/faults/install-engines"

START_TIMEOUT = 20.0  # seconds
STOP_TIMEOUT = 20.0  # seconds

_USER = "nobody" if os.geteuid() == 0 else None
_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")  # where Debian has it

# No more than it takes: what else is set is the default, as an operator would have it (pgbouncer.ini(5)).
_CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
admin_users = postgres
pool_mode = transaction
default_pool_size = {pool_size}
{settings}
"""


class PgBouncer:
    """A pooler on a port of 127.0.0.1 that stays the same from start to start.

    `postgres`, and nobody else, may log in, without a password.
    It refuses to run as root, and then runs as `nobody`. Nothing is left behind when it is closed, or the tests are
    killed.
    """

    def __init__(self, server_port: int, *, pool_size: int, **settings: str) -> None:
        """`pool_size` is the number of connections to each database of the server on that port; `settings` are
        pgbouncer.ini's own."""
        self.port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        self._directory.chmod(0o755)
        self._file = self._directory / "pgbouncer.ini"
        users = self._directory / "users"
        users.write_text('"postgres" ""\n')
        more = "\n".join(f"{name} = {value}" for name, value in settings.items())
        self._file.write_text(
            _CONFIGURATION.format(
                server_port=server_port, port=self.port, users=users, pool_size=pool_size, settings=more
            )
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: OrphanGuard | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def through(self, url: str) -> str:
        """The URL of one of the server's databases, changed so that it leads through here."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}").geturl()

    def start(self) -> None:
        """Return when it accepts connections."""
        assert _PROGRAM is not None, WHY_MISSING
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_PROGRAM, self._file],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=_USER,
                group=pwd.getpwnam(_USER).pw_gid if _USER else None,
                start_new_session=True,
            )
        self._guard = OrphanGuard(self._process.pid, directory=self._directory)
        try:
            wait_until(self._accepts_connections, START_TIMEOUT, "PgBouncer does not accept connections")
        except AssertionError as error:
            raise RuntimeError(f"{error}\n{(self._directory / 'log').read_text()}") from error

    def kill(self) -> None:
        """End it without a word, and with it all connections. May be called twice."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(STOP_TIMEOUT)
        self._process = None
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    def restart(self) -> None:
        """End it without a word, and start it again: new connections, on both sides."""
        self.kill()
        self.start()

    def admin(self, command: str) -> list[tuple[Any, ...]]:
        """Run a command of its console, such as PAUSE, to the end, and return its rows if it has any (pgbouncer(1),
        "Admin console")."""
        with psycopg.connect(f"postgresql://postgres@127.0.0.1:{self.port}/pgbouncer", autocommit=True) as console:
            cursor = console.execute(command.encode())
            return cursor.fetchall() if cursor.description else []

    def _accepts_connections(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError("it has exited")
        try:
            self.admin("SHOW VERSION")
        except psycopg.OperationalError:
            return False
        return True


def is_installed() -> bool:
    return _PROGRAM is not None
