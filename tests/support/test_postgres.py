import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import get_args

import psycopg
import pytest

from tests.support.postgres import Postgres, StopMode, memory
from tests.support.tcp_proxy import TcpProxy
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def own_postgres(server: Postgres) -> Iterator[Postgres]:
    """This module's alone: started, with the settings that it had at first, whatever the test before has done to it."""
    ((data,),) = server.execute("SHOW data_directory")
    settings = Path(data) / "postgresql.auto.conf"  # where ALTER SYSTEM writes
    before = settings.read_text()
    yield server
    settings.write_text(before)
    server.restart()


def test_a_restart_keeps_port_and_data(own_postgres: Postgres) -> None:
    own_postgres.execute("CREATE TABLE kept AS SELECT 1 AS number")
    url = own_postgres.url()

    modes: tuple[StopMode, ...] = get_args(StopMode)
    for mode in modes:
        own_postgres.stop(mode)
        assert not own_postgres.running
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(url)
        own_postgres.start()
        assert own_postgres.running
        assert own_postgres.url() == url
        assert own_postgres.execute("SELECT number FROM kept") == [(1,)]


def test_stopping_disconnects_clients(own_postgres: Postgres) -> None:
    with psycopg.connect(own_postgres.url()) as connection:
        own_postgres.restart()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_setting_that_a_test_changes_takes_effect(own_postgres: Postgres) -> None:
    own_postgres.execute("ALTER SYSTEM SET max_connections = 12")
    own_postgres.restart()

    assert own_postgres.execute("SHOW max_connections") == [("12",)]


def test_a_server_that_does_not_start_says_why(own_postgres: Postgres) -> None:
    own_postgres.execute("ALTER SYSTEM SET shared_preload_libraries = 'no_such_library'")

    with pytest.raises(RuntimeError, match='could not access file "no_such_library"'):
        own_postgres.restart()

    assert not own_postgres.running


@pytest.fixture
def directory() -> Iterator[Path]:
    """For a server, and not there yet."""
    with tempfile.TemporaryDirectory(prefix="postgres-", dir=memory()) as parent:
        yield Path(parent) / "postgres"


@pytest.mark.process
def test_closing_removes_the_directory(directory: Path) -> None:
    with Postgres(directory) as postgres:
        assert postgres.running
        assert (directory / "log").exists()

    assert not directory.exists()
    postgres.close()


def test_a_database_from_a_template_has_its_tables(postgres: Postgres) -> None:
    postgres.execute("CREATE TABLE things (name text)", database=postgres_name(postgres.create_database("template_a")))
    copy = postgres_name(postgres.create_database("copy_of_a", template="template_a"))

    assert postgres.execute("SELECT count(*) FROM things", database=copy) == [(0,)]
    for name in ("copy_of_a", "template_a"):
        postgres.drop_database(name)


def test_letters_beyond_ascii_have_lower_case(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT lower('ÅSA')").fetchone() == ("åsa",)


@pytest.mark.process
def test_the_server_goes_when_the_tests_are_killed(directory: Path) -> None:
    script = f"""
from pathlib import Path
import time
from tests.support.postgres import Postgres
postgres = Postgres(Path({str(directory)!r}))
postgres.start()
print(postgres.url(), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        url = tests.stdout.readline().strip()
        psycopg.connect(url).close()
        os.kill(tests.pid, signal.SIGKILL)

    wait_until(lambda: not accepts_connections(url), timeout=30, message="Postgres has outlived its tests")
    wait_until(lambda: not directory.exists(), timeout=30, message="its directory has outlived the tests")


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[TcpProxy]:
    with TcpProxy(postgres.port) as proxy:
        yield proxy


def test_a_tcp_proxy_passes_queries_on(proxy: TcpProxy, empty_database_url: str) -> None:
    with psycopg.connect(proxy.through(empty_database_url)) as connection:
        assert connection.execute("SELECT repeat('x', 1000000)").fetchone() == ("x" * 1_000_000,)


def test_a_cut_breaks_connections_and_lets_new_ones_in(proxy: TcpProxy, empty_database_url: str) -> None:
    url = proxy.through(empty_database_url)
    with psycopg.connect(url) as connection:
        proxy.cut()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with psycopg.connect(url) as connection:
        connection.execute("SELECT 1")


def test_a_proxy_that_is_down_refuses_connections_until_it_is_up(proxy: TcpProxy, empty_database_url: str) -> None:
    url = proxy.through(empty_database_url)
    for _ in range(3):
        proxy.down()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(url)
        proxy.up()
        assert accepts_connections(url)


def test_a_frozen_connection_says_nothing_until_it_thaws(proxy: TcpProxy, empty_database_url: str) -> None:
    url = proxy.through(empty_database_url)
    with psycopg.connect(url) as connection:
        proxy.freeze()
        connection.pgconn.send_query(b"SELECT 1")
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(url, connect_timeout=2)
        connection.pgconn.consume_input()
        assert connection.pgconn.is_busy()

        proxy.thaw()
        wait_until(lambda: has_answer(connection), timeout=5, message="the answer has not come")
        take_results(connection)  # closing commits, which it cannot in the middle of an answer


def postgres_name(url: str) -> str:
    return url.rpartition("/")[2]


def accepts_connections(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def has_answer(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    connection.pgconn.consume_input()
    return not connection.pgconn.is_busy()


def take_results(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    while connection.pgconn.get_result() is not None:
        pass


def test_a_lost_answer_belongs_to_a_request_that_took_effect(proxy: TcpProxy, empty_database_url: str) -> None:
    url = proxy.through(empty_database_url)
    with closing(psycopg.connect(url)) as connection:
        connection.execute("CREATE TABLE things ()")
        proxy.lose_answers_to(b"COMMIT")
        with pytest.raises(psycopg.OperationalError):
            connection.commit()

    with psycopg.connect(url) as connection:  # once only
        assert connection.execute("SELECT count(*) FROM things").fetchone() == (0,)
