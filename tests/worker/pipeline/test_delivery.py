"""Messages become rows."""

import random
import uuid
from collections.abc import Callable
from contextlib import closing

from tests.support.events import activity, sign_up
from tests.support.postgres import Postgres
from tests.support.sqs import Queues, SqsServer, create_queues
from tests.support.tables import activities, names, users
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess

Drain = Callable[..., WorkerProcess]


def test_a_sign_up_becomes_a_row(queues: Queues, database_url: str, drain: Drain) -> None:
    queues.send(sign_up("ada", display_name="Ada Łukasz", email=None))

    drain()

    assert [row[:4] for row in users(database_url)] == [("ada", "Ada Łukasz", "ada", None)]
    assert queues.counts() == (0, 0, 0)


def test_a_full_queue_costs_one_commit_for_many_messages(queues: Queues, database_url: str, drain: Drain) -> None:
    queues.send(*(sign_up(f"user{n}") for n in range(300)))

    worker = drain()

    assert len(names(database_url)) == 300
    commits = worker.events("batch_committed")
    assert sum(commit["messages"] for commit in commits) == 300
    assert len(commits) <= 6


def test_whoever_has_a_handle_keeps_it(queues: Queues, database_url: str, drain: Drain) -> None:
    queues.send(sign_up("first", handle="Ada"))
    drain()
    queues.send(sign_up("second", handle="ada"), sign_up("second", handle="ada"))

    worker = drain()

    rows = {row[0]: row[2] for row in users(database_url)}
    assert rows["first"] == "Ada"
    assert str(rows["second"]).startswith("ada-")
    [reassigned] = {line["event_id"] for line in worker.events("handle_reassigned")}
    assert reassigned == "second"


def test_two_workers_with_everything_twice_leave_what_one_leaves(
    sqs_server: SqsServer, postgres: Postgres, migrated_template: str, start_worker: StartWorker
) -> None:
    events = _a_day()
    tables = []
    for copies, workers in ((1, 1), (2, 2)):
        shuffled = events * copies
        if copies > 1:
            random.Random(7).shuffle(shuffled)
        url = postgres.create_database(f"twice_{uuid.uuid4().hex}", template=migrated_template)
        # Enough attempts for what comes in the worst order.
        with closing(create_queues(sqs_server.endpoint_url, max_receive_count=50)) as queues:
            queues.send(*shuffled)
            running = [start_worker(queues=queues, database_url=url) for _ in range(workers)]
            wait_until(lambda queues=queues: not sum(queues.counts()), 90, "the queue is not empty")  # type: ignore[misc]
            assert queues.dead_letter_count() == 0
            for worker in running:
                worker.terminate()
                assert worker.wait() == 0
        tables.append((users(url), activities(url)))

    assert tables[0] == tables[1]
    assert len(tables[0][0]) == 40
    assert len(tables[0][1]) == 80


def _a_day() -> list[str]:
    """40 users, each with an activity, and 40 replies to some of those; authors first, then parents."""
    ids = [str(uuid.UUID(int=n + 1)) for n in range(80)]
    posts = [activity(f"user{n}", f"post {n}", id=ids[n]) for n in range(40)]
    replies = [activity(f"user{n}", "reply", id=ids[40 + n], reply_to=ids[n % 7]) for n in range(40)]
    return [*(sign_up(f"user{n}") for n in range(40)), *posts, *replies]
