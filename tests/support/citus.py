"""A cluster of Citus on this machine: a coordinator and its nodes, each of which a test may stop, kill and start."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from db.connection import Connection
from tests.support.postgres import Postgres

_PLACES = Path("/usr/lib/postgresql")  # Debian's, one a version

NODES = 2
SHARDS = 4  # two on each, which is enough to tell one from all

# A node that is away is noticed soon, and what a crash has left half committed is settled soon, not after a minute.
_SETTINGS = f"""
shared_preload_libraries = 'citus'
max_connections = 100
max_prepared_transactions = 100
citus.shard_count = {SHARDS}
citus.node_conninfo = 'sslmode=disable'
citus.node_connection_timeout = '2s'
citus.recover_2pc_interval = '1s'
"""


def is_installed() -> bool:
    """Whether a Postgres of the system has Citus."""
    return _programs() is not None


def connect_sequentially(url: str) -> Connection:
    """As the pool's connections are in a transaction, but for the limits."""
    connection = Connection.connect(url, options="-c citus.multi_shard_modify_mode=sequential")
    connection.has_citus = True
    return connection


class Node(Postgres):
    """A server with Citus, otherwise as any other of the tests."""

    def __init__(self) -> None:
        super().__init__()
        programs = _programs()
        if programs is None:
            raise RuntimeError("Citus is not installed")
        self.programs = programs

    def _initialise(self, server: Any) -> None:
        user = server.system_user  # None unless we are root
        if user is not None:
            os.chmod(self._directory, 0o711)  # noqa: S103, PTH101 (the server's user has to pass)
            self._data.chmod(0o700)
            subprocess.run(["chown", user, self._data], check=True)
        arguments = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        subprocess.run(
            [self.programs / "initdb", *arguments, "--pgdata", self._data],
            check=True,
            stdout=subprocess.DEVNULL,
            user=user,
            cwd="/",
        )
        self._configure(self._settings() + _SETTINGS)


class Cluster:
    """`coordinator` is where everybody connects to; `nodes` hold the rows of `activities`."""

    def __init__(self, nodes: int = NODES) -> None:
        self._size = 1 + nodes
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack, ThreadPoolExecutor() as executor:
            servers = [Node() for _ in range(self._size)]
            for server in servers:
                stack.callback(server.close)
            list(executor.map(Node.start, servers))
            self.coordinator, *self.nodes = servers
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def create_database(self, name: str) -> str:
        """Make an empty database on all, and return its URL at the coordinator."""
        with ThreadPoolExecutor() as executor:
            list(executor.map(lambda server: _create(server, name), [self.coordinator, *self.nodes]))
        url = self.coordinator.url(name)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT citus_set_coordinator_host('127.0.0.1', %s)", (self.coordinator.port,))
            for node in self.nodes:
                connection.execute("SELECT citus_add_node('127.0.0.1', %s)", (node.port,))
        return url


def _create(server: Node, name: str) -> None:
    server.execute(f"CREATE DATABASE {name}")
    server.execute("CREATE EXTENSION citus", database=name)


def _programs() -> Path | None:
    found = sorted(_PLACES.glob("*/lib/citus.so"), key=lambda path: float(path.parents[1].name))
    return found[-1].parents[1] / "bin" if found else None
