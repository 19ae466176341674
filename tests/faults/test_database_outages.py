"""Ways in which a database goes away that `tests/faults/test_postgres_outages.py` does not have."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from db.migrations import migrate
from tests.db.test_migrations import BEFORE_0004, INSERT
from tests.support.events import activity, sign_up
from tests.support.postgres import Postgres
from tests.support.sqs import Queues
from tests.support.tables import activities, names, users
from tests.support.tcp_proxy import TcpProxy
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker

BACK = 60.0  # seconds
DISK = 150 * 1024 * 1024  # bytes, of which a fresh server has half


def people(count: int, prefix: str = "user") -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


def assert_all_written(queues: Queues, database_url: str, expected: set[str]) -> None:
    wait_until(lambda: names(database_url) == expected, BACK, "the rows are not there")
    wait_until(lambda: not sum(queues.counts()), BACK, "the queue is not empty")
    assert queues.dead_letter_count() == 0


def test_connections_that_others_have_used_up_are_waited_for(
    own_postgres: Postgres, queues: Queues, start_worker: StartWorker
) -> None:
    url = own_postgres.create_database("app")
    migrate(url)
    # Of those that are kept for superusers the worker has none.
    own_postgres.execute("CREATE ROLE worker LOGIN IN ROLE pg_write_all_data, pg_read_all_data")
    with ExitStack() as others:
        with suppress(psycopg.OperationalError):
            while True:
                others.enter_context(psycopg.connect(own_postgres.url("app", "worker")))
        queues.send(*map(sign_up, people(30)))
        worker = start_worker(database_url=own_postgres.url("app", "worker"))
        paused = worker.wait_for("paused")
        assert "connection" in paused["reason"].lower()
        assert max(queues.receive_counts().values()) == 1  # by this look

    assert_all_written(queues, url, set(people(30)))
    assert len(worker.events("paused")) == len(worker.events("resumed")) == 1


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system of its own, which can be filled."""
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    size = f"size={DISK},mode=755"
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        folder.rmdir()
        pytest.skip("needs the right to mount a tmpfs (root, on Linux)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


def fill(folder: Path) -> Path:
    """Leave not a byte."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return ballast


def test_a_disk_that_is_full_is_waited_for(queues: Queues, start_worker: StartWorker) -> None:
    with small_disk() as disk, Postgres(disk / "postgres") as server:
        url = server.create_database("app")
        migrate(url)
        worker = start_worker(database_url=url)
        worker.wait_for("opened")
        ballast = fill(disk)
        # As much as it takes for the tables to need new pages, which there are not.
        expected = people(300)
        queues.send(*(sign_up(name, email="x" * 2000) for name in expected))
        reason = worker.wait_for("paused")["reason"]
        assert "DiskFull" in reason or "53100" in reason or "No space left" in reason or "Connection" in reason

        ballast.unlink()

        assert_all_written(queues, url, set(expected))
        assert worker.running
        worker.terminate()
        assert worker.wait() == 0


def test_a_database_that_takes_two_seconds_for_everything_is_slow_and_no_more(
    postgres: Postgres, database_url: str, queues: Queues, start_worker: StartWorker
) -> None:
    """A transaction takes many times the visibility timeout, and a new connection longer than anybody waits for one."""
    with TcpProxy(postgres.port) as network:
        worker = start_worker(database_url=network.through(database_url))
        worker.wait_for("opened")
        network.delay = 1.0  # each way

        queues.send(*map(sign_up, people(20)))
        assert_all_written(queues, database_url, set(people(20)))
        assert worker.events("paused") == []
        network.cut()
        queues.send(*map(sign_up, people(40)))

        assert_all_written(queues, database_url, set(people(40)))
        assert len(worker.events("paused")) == len(worker.events("resumed")) == 1
        worker.terminate()
        assert worker.wait() == 0


def test_a_commit_whose_answer_is_lost_is_one_commit(
    postgres: Postgres, database_url: str, queues: Queues, start_worker: StartWorker
) -> None:
    """It took effect, and the worker cannot know: it writes the same again, and no reply is counted twice."""
    parent = "00000000-0000-0000-0000-000000000001"
    with TcpProxy(postgres.port) as network:
        worker = start_worker(database_url=network.through(database_url), MAX_ATTEMPTS="50")
        queues.send(sign_up("ada"), activity("ada", id=parent))
        wait_until(lambda: len(activities(database_url)) == 1, BACK, "the parent is not there")
        for lost in range(3):
            network.lose_answers_to(b"COMMIT")
            queues.send(*(activity("ada", f"{lost} {n}", reply_to=parent) for n in range(10)), sign_up(f"user{lost}"))
            worker.wait_for("resumed", nth=lost + 1)
            wait_until(lambda: not sum(queues.counts()), BACK, "the queue is not empty")

    assert len(worker.events("paused")) == 3
    assert names(database_url) == {"ada", "user0", "user1", "user2"}
    assert {str(row[0]): row[3] for row in activities(database_url)}[parent] == 30
    assert queues.dead_letter_count() == 0


NEXT_VERSION = [
    "ALTER TABLE users ADD COLUMN pronouns text NOT NULL DEFAULT ''",
    "ALTER TABLE users ALTER COLUMN display_name TYPE varchar(400)",  # may write the table anew
    "CREATE INDEX users_created_at_idx ON users (created_at)",  # keeps writers out meanwhile
    "ALTER TABLE activities ADD COLUMN language text",
    "ALTER TABLE users ADD CONSTRAINT display_name_not_empty CHECK (display_name <> '')",
    "ALTER TABLE activities ALTER COLUMN likes_count TYPE bigint",
]


def test_migrations_0004_and_0005_under_workers_that_came_before_them(
    database_url: str, queues: Queues, start_worker: StartWorker
) -> None:
    """They wait for the columns, and write everybody then. (Workers of before beside 0005: test_migration_0005.py.)"""
    with psycopg.connect(database_url) as connection:
        connection.execute(BEFORE_0004.encode())
        for name in ("ad\u200ba", "ada"):
            connection.execute(INSERT, (name, name))
    workers = [start_worker(), start_worker()]
    groups = [people(50, f"group{number}-") for number in range(4)]
    queues.send(*map(sign_up, [*groups[0], *groups[1]]))
    wait_until(lambda: any(worker.events("paused") for worker in workers), BACK, "nobody waits")

    assert [revision.number for revision in migrate(database_url)] == ["0004", "0005"]

    queues.send(*map(sign_up, [*groups[2], *groups[3]]), sign_up("late", handle="\uff41da"))
    everybody = {name for group in groups for name in group}
    assert_all_written(queues, database_url, {"ada", "ad\u200ba", "late", *everybody})
    assert all(worker.running for worker in workers)
    handles = {str(row[0]): str(row[2]) for row in users(database_url)}
    assert (handles["ada"], handles["ad\u200ba"]) == ("ada", "ad\u200ba")
    assert handles["late"].startswith("\uff41da-")


def test_the_next_version_s_migration_under_a_running_worker(
    database_url: str, queues: Queues, start_worker: StartWorker
) -> None:
    workers = [start_worker(LOCK_TIMEOUT_MS="300"), start_worker(LOCK_TIMEOUT_MS="300")]
    sent: list[str] = []
    posts = 0
    with psycopg.connect(database_url) as migration:
        for number, statement in enumerate(NEXT_VERSION):
            migration.execute(statement.encode())
            group = people(20, f"group{number}-")
            queues.send(*map(sign_up, group), *(activity(name) for name in group))
            sent += group
            posts += len(group)
            # The locks are kept for longer than the workers wait for one.
            wait_until(lambda: any(worker.events("paused") for worker in workers), BACK, "nobody waits")
            if number % 2:
                migration.commit()
                assert_all_written(queues, database_url, set(sent))
        migration.commit()
    assert_all_written(queues, database_url, set(sent))

    assert len(activities(database_url)) == posts
    assert all(worker.running for worker in workers)
