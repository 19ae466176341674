"""Connection pool: transactions with limits, and a probe that says whether the database can be used.

A `Database` is *open* from `open()` to `close()`. In between it can be `reset()`: after an outage the pool's
connections are dead and its own attempts to reconnect may be minutes apart, so it is replaced whole.

Nothing here depends on a session: no prepared statements, no `SET`, no temporary tables; the tables' schema is in the
statements. It works through PgBouncer and RDS Proxy in transaction mode (PgBouncer documentation, "SQL feature map for
pooling modes").
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool, PoolTimeout

from db.connection import Connection
from db.credentials import Conninfo, resolved
from db.limits import set_limits
from db.statements import qualified, statement
from db.tables.rehearsal import rehearse
from db.tables.worker_pause import WorkerPause, read_worker_pause
from signup_sync.postgres.statements import DEFAULT_SCHEMA

ACQUIRE_TIMEOUT = 3.0  # seconds to wait for a connection before the database counts as away
POOL_PROBLEM = f"no connection of the pool was free or made anew within {ACQUIRE_TIMEOUT:.0f} s"
RESET_TIMEOUT = 15.0  # seconds in which a new pool has its first connection; a slow network takes some for each

CONNECT_TIMEOUT = 5.0  # seconds, unless the database URL says otherwise

# What a database URL need not say; what it does say wins. They bound the time in which a network that swallows
# everything is noticed (PostgreSQL documentation, 34.1.2 "Parameter Key Words").
_CONNECTION_DEFAULTS = {
    "application_name": "signup-sync",
    "connect_timeout": f"{CONNECT_TIMEOUT:.0f}",
    "keepalives_idle": "10",  # seconds
    "keepalives_interval": "5",  # seconds
    "keepalives_count": "2",
    "tcp_user_timeout": "15000",  # milliseconds
}


class DatabaseReadOnly(psycopg.OperationalError):
    """The server answers but takes no writes: a standby, or a failover that is under way."""

    sqlstate = "25006"  # read_only_sql_transaction


class CommitsWait(psycopg.OperationalError):
    """The server takes writes, but does not end a commit while its synchronous standby is away."""


class Database:
    """Connections to one database, at most `max_connections` of them and one more for the probe.

    `url` is a libpq URL, or a function that returns one for each new connection (see `db.credentials`); our tables are
    in `schema`.
    `statement_timeout_ms` and `lock_timeout_ms` bound each statement of a transaction, in milliseconds.
    """

    def __init__(
        self,
        url: Conninfo,
        *,
        schema: str = DEFAULT_SCHEMA,
        max_connections: int,
        statement_timeout_ms: int,
        lock_timeout_ms: int,
    ) -> None:
        self._url = url
        self._schema = schema
        self._max_connections = max_connections
        self._has_citus: bool | None = None
        self._limits = {"statement_timeout_ms": statement_timeout_ms, "lock_timeout_ms": lock_timeout_ms}
        self._pool = self._new_pool()

    def open(self) -> None:
        """Start connecting, in the background; it does not matter whether the database is there yet."""
        self._pool.open(wait=False)

    def close(self) -> None:
        """Close all connections that are not in use, and those in use when they come back."""
        self._pool.close()

    def reset(self) -> None:
        """Replace the pool by a new one whose connections are all fresh.

        It waits for the first of them: who asks an empty pool waits `ACQUIRE_TIMEOUT` for what may take longer, and the
        outage would never end. Raises `psycopg.Error` if there is none; then all is as before.
        """
        self._has_citus = None
        fresh = self._new_pool()
        fresh.open(wait=False)
        try:
            with fresh.connection(RESET_TIMEOUT):
                pass
        except psycopg.Error:
            fresh.close()
            raise
        stale, self._pool = self._pool, fresh
        stale.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in a transaction (READ COMMITTED) that commits at the end, or rolls back if it is left by an
        exception.

        Raises `psycopg.Error`: that of connecting where no connection could be had, or `psycopg_pool.PoolTimeout` where
        one can be made, and only those of the pool are all in use.
        """
        try:
            with self._pool.connection() as connection:
                set_limits(connection, **self._limits)
                yield connection
        except PoolTimeout as error:
            # The pool does not say why. Whoever reads of an outage wants to know.
            psycopg.connect(self._conninfo()).close()
            raise PoolTimeout(f"the database answers, but {POOL_PROBLEM}") from error

    def pool_statistics(self) -> dict[str, int]:
        """As psycopg_pool names them (its documentation, "Pool stats"); they begin anew at each `reset`."""
        return self._pool.get_stats()

    def probe(self) -> None:
        """Find out whether rows can be written now, without writing any.

        On a connection of its own, so that the error is the connection's and not the pool's. Raises `psycopg.Error`
        if not: unreachable, read-only, not migrated, no privilege, a lock that keeps writers out, or a commit of this
        role, a worker's that has ended perhaps, that waits for a synchronous standby without end (PostgreSQL 18
        documentation, 26.2.8.4 "Planning for High Availability") and keeps the rows that it writes locked.
        """
        with self._connect() as connection:
            set_limits(connection, **self._limits)
            row = connection.execute(statement("is_read_only")).fetchone()
            if row is None or row[0]:
                raise DatabaseReadOnly("the server is read-only")
            if connection.execute(statement("find_commit_that_waits"), self._limits).fetchone():
                raise CommitsWait("commits wait for a synchronous standby that is away")
            connection.execute(qualified("lock_tables", self._schema))
            connection.rollback()

    def rehearse(self) -> None:
        """Find out whether rows are written in time, by some that are rolled back (`db.tables.rehearsal`).

        On a connection of its own, like `probe`, whose answer may be quick while inserts are not. Raises
        `psycopg.Error` if not.
        """
        with self._connect() as connection:
            set_limits(connection, **self._limits)
            rehearse(connection)
            connection.rollback()

    def read_pause(self) -> WorkerPause | None:
        """The operators' pause of all workers, None if there is none. Raises what `read_worker_pause` raises."""
        with self.transaction() as connection:
            return read_worker_pause(connection)

    def _conninfo(self) -> str:
        return _with_defaults(self._url)

    def _connect(self) -> Connection:
        connection = Connection.connect(self._conninfo(), prepare_threshold=None)
        self._identify(connection)
        return connection

    def _new_pool(self) -> ConnectionPool[Connection]:
        return ConnectionPool(
            self._conninfo,
            connection_class=Connection,
            kwargs={"prepare_threshold": None},
            # All from the start: making one when it is needed may take longer than `ACQUIRE_TIMEOUT`.
            min_size=self._max_connections,
            max_size=self._max_connections,
            timeout=ACQUIRE_TIMEOUT,
            configure=self._configure,
            check=ConnectionPool.check_connection,
            open=False,
        )

    def _configure(self, connection: Connection) -> None:
        self._identify(connection)
        connection.rollback()
        # What the statements are written for, whatever the server's default.
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED

    def _identify(self, connection: Connection) -> None:
        connection.schema = self._schema
        if self._has_citus is None:
            self._has_citus = _has_citus(connection)
        connection.has_citus = self._has_citus


def connect(url: Conninfo, schema: str = DEFAULT_SCHEMA) -> Connection:
    """One connection, each statement a transaction, for a command that does one thing after the other.

    `url` and `schema` as for `Database`; the caller closes it. Raises `psycopg.Error`.
    """
    connection = Connection.connect(_with_defaults(url), prepare_threshold=None, autocommit=True)
    connection.schema = schema
    connection.has_citus = _has_citus(connection)
    return connection


def _has_citus(connection: Connection) -> bool:
    row = connection.execute(statement("has_citus")).fetchone()
    return bool(row and row[0])


def _with_defaults(url: Conninfo) -> str:
    return make_conninfo("", **{**_CONNECTION_DEFAULTS, **conninfo_to_dict(resolved(url))})
