"""Workers that are killed, and workers that do the same work at once."""

import random
import time
import uuid
from contextlib import closing

from tests.support.events import activity, sign_up
from tests.support.postgres import Postgres
from tests.support.sqs import SqsServer, create_queues
from tests.support.tables import activities, names, users
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker


def test_workers_killed_at_random_moments_lose_nothing(
    sqs_server: SqsServer, database_url: str, start_worker: StartWorker
) -> None:
    parents = [str(uuid.UUID(int=n + 1)) for n in range(5)]
    replies = [activity("author", id=str(uuid.UUID(int=n + 100)), reply_to=parents[n % 5]) for n in range(200)]
    sign_ups = [sign_up(f"user{n}") for n in range(200)]
    chance = random.Random(11)
    # A lease that ends soon, so that what a killed worker held is soon back; and attempts for all those kills.
    with closing(create_queues(sqs_server.endpoint_url, visibility_timeout=2, max_receive_count=100)) as queues:
        queues.send(sign_up("author"), *(activity("author", id=parent) for parent in parents))
        assert start_worker("--once", queues=queues).wait(60) == 0
        events = [*sign_ups, *replies, *replies[:100]]
        chance.shuffle(events)
        kills = 0
        while (events or sum(queues.counts())) and kills < 100:
            # By and by: moto is slow with many, and a worker that is killed before it wrote anything proves little.
            queues.send(*events[:60])
            del events[:60]
            worker = start_worker(queues=queues)
            time.sleep(chance.uniform(0.3, 2.0))
            worker.kill()
            worker.wait()
            kills += 1
        assert queues.dead_letter_count() == 0

    assert kills > 3
    assert names(database_url) == {"author", *(f"user{n}" for n in range(200))}
    counts = {str(row[0]): row[3] for row in activities(database_url)}
    assert len(counts) == len(parents) + len(replies)
    assert {parent: counts[parent] for parent in parents} == dict.fromkeys(parents, 40)


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
