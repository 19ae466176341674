import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from db.connection import Connection
from db.pool import CommitsWait, Database, DatabaseReadOnly
from db.statements import qualified, statement
from db.tables.worker_pause import set_worker_pause
from signup_sync.postgres.errors import Fault, describe, fault_of
from tests.support.ports import free_port
from tests.support.postgres import CreateRole, Postgres
from tests.support.tcp_proxy import TcpProxy
from tests.support.wait import wait_until

INSERT_ADA = "INSERT INTO users (cognito_user_id, display_name, handle) VALUES ('1', 'Ada', 'ada')"


@contextmanager
def opened(
    url: str, *, max_connections: int = 2, statement_timeout_ms: int = 10_000, lock_timeout_ms: int = 5000
) -> Iterator[Database]:
    database = Database(
        url,
        max_connections=max_connections,
        statement_timeout_ms=statement_timeout_ms,
        lock_timeout_ms=lock_timeout_ms,
    )
    database.open()
    try:
        yield database
    finally:
        database.close()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened(database_url) as database:
        yield database


def value(connection: Connection, query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def count_users(url: str) -> int:
    with Connection.connect(url) as connection:
        return int(value(connection, "SELECT count(*) FROM users"))


def set_for_database(postgres: Postgres, url: str, setting: str) -> None:
    postgres.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET {setting}")


def test_a_transaction_is_committed_at_its_end(database: Database, database_url: str) -> None:
    with database.transaction() as connection:
        connection.execute(INSERT_ADA)
        assert count_users(database_url) == 0

    assert count_users(database_url) == 1


def test_the_pause_is_what_an_operator_has_committed(database: Database, database_url: str) -> None:
    assert database.read_pause() is None
    with Connection.connect(database_url) as operator:
        made = set_worker_pause(operator, "grace", "failover")
        assert database.read_pause() is None
        operator.commit()

    assert database.read_pause() == made


def test_a_database_of_the_version_before_has_no_table_for_the_pause(database: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE worker_pause")

    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable):
            database.read_pause()
    with database.transaction() as connection:
        connection.execute(INSERT_ADA)
    assert count_users(database_url) == 1


def test_a_transaction_left_by_an_exception_is_rolled_back(database: Database, database_url: str) -> None:
    with contextlib.suppress(KeyError), database.transaction() as connection:
        connection.execute(INSERT_ADA)
        raise KeyError

    assert count_users(database_url) == 0


def test_a_statement_that_takes_too_long_is_cancelled(database_url: str) -> None:
    with (
        opened(database_url, statement_timeout_ms=100) as database,
        pytest.raises(psycopg.errors.QueryCanceled),
        database.transaction() as connection,
    ):
        connection.execute("SELECT pg_sleep(60)")


def test_a_statement_that_waits_too_long_for_a_lock_is_given_up(database_url: str) -> None:
    with psycopg.connect(database_url) as other, opened(database_url, lock_timeout_ms=100) as database:
        other.execute("LOCK TABLE users")
        with pytest.raises(psycopg.errors.LockNotAvailable), database.transaction() as connection:
            connection.execute(INSERT_ADA)


def test_limits_end_with_the_transaction(connection: Connection) -> None:
    connection.execute(statement("set_limits"), {"statement_timeout_ms": 1234, "lock_timeout_ms": 567})
    assert value(connection, "SHOW statement_timeout") == "1234ms"
    assert value(connection, "SHOW lock_timeout") == "567ms"

    connection.commit()

    assert value(connection, "SHOW statement_timeout") == "0"
    assert value(connection, "SHOW lock_timeout") == "0"


@pytest.mark.parametrize(("default", "expected"), [("off", "on"), ("on", "on"), ("local", "local")])
def test_a_commit_is_durable_whatever_the_default_says(
    postgres: Postgres, database_url: str, default: str, expected: str
) -> None:
    set_for_database(postgres, database_url, f"synchronous_commit = {default}")

    with opened(database_url) as database, database.transaction() as connection:
        assert value(connection, "SHOW synchronous_commit") == expected


def test_transactions_are_read_committed_whatever_the_default_says(postgres: Postgres, database_url: str) -> None:
    set_for_database(postgres, database_url, "default_transaction_isolation = 'serializable'")

    with opened(database_url) as database, database.transaction() as connection:
        assert value(connection, "SHOW transaction_isolation") == "read committed"


def test_nothing_is_left_in_the_session_that_a_pooler_could_lose(database: Database) -> None:
    for _ in range(10):  # psycopg would prepare what runs for the sixth time
        with database.transaction() as connection:
            connection.execute(qualified("find_users", "public"), {"cognito_user_ids": ["1"]})

    with database.transaction() as connection:
        assert value(connection, "SELECT count(*) FROM pg_prepared_statements") == 0


def test_connections_bear_our_name_unless_the_url_gives_one(database_url: str) -> None:
    for url, name in ((database_url, "signup-sync"), (f"{database_url}?application_name=blue", "blue")):
        with opened(url) as database, database.transaction() as connection:
            assert value(connection, "SHOW application_name") == name


def test_an_idle_connection_that_was_terminated_is_replaced(database_url: str) -> None:
    with opened(database_url, max_connections=1) as database:
        with database.transaction() as connection:
            pid = connection.info.backend_pid
        terminate(database_url, pid)

        with database.transaction() as connection:
            assert connection.info.backend_pid != pid


def terminate(url: str, pid: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def test_a_reset_replaces_all_connections(database_url: str) -> None:
    with opened(database_url, max_connections=1) as database:
        with database.transaction() as connection:
            stale = connection.info.backend_pid

        database.reset()

        with database.transaction() as connection:
            assert connection.info.backend_pid != stale
        wait_until(lambda: not is_connected(database_url, stale), timeout=10, message="the old connection is open")


def is_connected(url: str, pid: int) -> bool:
    with psycopg.connect(url) as connection:
        return bool(connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).rowcount)


def test_a_transaction_under_way_survives_a_reset(database: Database, database_url: str) -> None:
    with database.transaction() as connection:
        connection.execute(INSERT_ADA)
        database.reset()

    assert count_users(database_url) == 1


def test_a_reset_ends_an_outage_at_once(postgres: Postgres, database_url: str) -> None:
    with TcpProxy(postgres.port) as proxy, opened(proxy.through(database_url)) as database:
        with database.transaction() as connection:
            connection.execute(INSERT_ADA)
        proxy.down()
        with pytest.raises(psycopg.OperationalError):
            database.probe()
        proxy.up()

        database.probe()
        database.reset()

        with database.transaction() as connection:
            assert value(connection, "SELECT count(*) FROM users") == 1


@pytest.mark.process  # the pool takes its three seconds
def test_a_database_that_is_away_is_said_to_be_away_and_why() -> None:
    with (
        opened(f"postgresql://postgres@127.0.0.1:{free_port()}/gone") as database,
        pytest.raises(psycopg.OperationalError) as caught,
        database.transaction(),
    ):
        pass

    assert fault_of(caught.value) is Fault.DATABASE
    assert "Connection refused" in describe(caught.value)


@pytest.mark.process  # the same
def test_a_pool_whose_connections_are_all_in_use_says_so(database_url: str) -> None:
    with (
        opened(database_url, max_connections=1) as database,
        database.transaction(),
        pytest.raises(PoolTimeout, match="the database answers, but no connection of the pool was free"),
        database.transaction(),
    ):
        pass


def test_there_are_never_more_connections_than_allowed(database_url: str) -> None:
    # One connection: each thread gets it when the one before has given it back.
    pids: list[int] = []
    with opened(database_url, max_connections=1) as database:

        def run() -> None:
            with database.transaction() as connection:
                pids.append(connection.info.backend_pid)

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(pids) == 8
    assert len(set(pids)) == 1


def test_the_probe_of_a_database_that_takes_rows_finds_nothing(database: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as other:
        other.execute(INSERT_ADA)  # who writes is not in the way
        database.probe()
        other.rollback()

    assert count_users(database_url) == 0


def test_the_probe_says_that_the_server_is_read_only(postgres: Postgres, database_url: str) -> None:
    set_for_database(postgres, database_url, "default_transaction_read_only = on")

    with opened(database_url) as database, pytest.raises(DatabaseReadOnly, match="read-only") as caught:
        database.probe()

    assert fault_of(caught.value) is Fault.DATABASE


def test_the_probe_says_that_a_commit_of_its_role_waits_for_a_standby(
    postgres: Postgres, role: CreateRole, database_url: str
) -> None:
    url = role("IN ROLE pg_read_all_data, pg_write_all_data")
    with opened(url, statement_timeout_ms=3_600_000) as database, opened(url, statement_timeout_ms=100) as probing:
        with standby_that_is_away(postgres):
            writer = threading.Thread(target=insert_ada, args=(database,))
            writer.start()
            error = wait_until(lambda: commit_that_waits(probing), timeout=20, message="the probe finds nothing")
            assert error is not None
            assert fault_of(error) is Fault.DATABASE
            assert describe(error) == "CommitsWait: commits wait for a synchronous standby that is away"
            database.probe()  # it has not waited for as long as a statement may take
            assert count_users(database_url) == 0
        writer.join()

        assert commit_that_waits(probing) is None
    assert count_users(database_url) == 1


@contextmanager
def standby_that_is_away(postgres: Postgres) -> Iterator[None]:
    postgres.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    postgres.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        postgres.execute("ALTER SYSTEM RESET synchronous_standby_names")
        postgres.execute("SELECT pg_reload_conf()")


def insert_ada(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(INSERT_ADA)


def commit_that_waits(database: Database) -> CommitsWait | None:
    """What the probe says of it, if that is what it says; on a busy machine a limit may be over before."""
    with contextlib.suppress(psycopg.errors.QueryCanceled):
        try:
            database.probe()
        except CommitsWait as error:
            return error
    return None


def test_the_probe_says_that_the_tables_are_missing(empty_database_url: str) -> None:
    with opened(empty_database_url) as database, pytest.raises(psycopg.errors.UndefinedTable):
        database.probe()


def test_the_probe_says_that_the_right_to_write_is_missing(role: CreateRole) -> None:
    with opened(role()) as database, pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.probe()


@pytest.mark.parametrize("table", ["users", "activities"])
def test_the_probe_says_that_a_lock_keeps_writers_out(database: Database, database_url: str, table: str) -> None:
    with psycopg.connect(database_url) as other:
        other.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE".encode())
        with pytest.raises(psycopg.errors.LockNotAvailable):
            database.probe()


SLOW = """
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NEW; END';
    CREATE TRIGGER slow BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION wait()
"""


@pytest.mark.parametrize("table", ["users", "activities"])
def test_the_rehearsal_says_that_inserts_are_slow_where_the_probe_does_not(database_url: str, table: str) -> None:
    with psycopg.connect(database_url) as operator:
        operator.execute(SLOW.format(table=table).encode())
    with opened(database_url, statement_timeout_ms=200) as database:
        database.probe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            database.rehearse()


def test_the_rehearsal_says_that_replies_cannot_be_counted(database_url: str) -> None:
    with psycopg.connect(database_url) as operator:
        operator.execute(SLOW.replace("INSERT", "UPDATE").format(table="activities").encode())
    with opened(database_url, statement_timeout_ms=200) as database, pytest.raises(psycopg.errors.QueryCanceled):
        database.rehearse()


def test_a_rehearsal_leaves_nothing_behind_and_is_in_nobodys_way(database: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as other:
        other.execute(INSERT_ADA)  # who writes is not in the way
        database.rehearse()
        database.rehearse()
        other.rollback()

    assert count_users(database_url) == 0


def test_a_rehearsal_does_not_mind_what_the_database_has_against_its_rows(
    database: Database, database_url: str
) -> None:
    with psycopg.connect(database_url) as operator:
        operator.execute("ALTER TABLE users ADD CHECK (email IS NOT NULL)")

    database.rehearse()

    assert count_users(database_url) == 0


def test_the_probe_does_not_wait_forever_for_a_network_that_swallows_everything(
    postgres: Postgres, database_url: str
) -> None:
    with TcpProxy(postgres.port) as proxy:
        proxy.freeze()
        url = proxy.through(database_url) + "?connect_timeout=2"
        with opened(url) as database, pytest.raises(psycopg.errors.ConnectionTimeout):
            database.probe()
        proxy.thaw()
