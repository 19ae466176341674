"""Workers on a cluster, with everything twice, kills, and servers that are away: exact rows and counters, no message
lost, and none dead because of it."""

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from db.admin.distribution import distribute
from db.migrations import migrate
from db.pool import connect
from tests.faults.model import Model
from tests.support.citus import Cluster, Node
from tests.support.events import activity, deleted, sign_up, updated
from tests.support.sqs import Queues, SqsServer, create_queues
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess

RECOVERY = 90.0  # seconds
PEOPLE = 24
GONE = ("user0", "user1", "user2")
KILLS = 4


@pytest.fixture
def queues(sqs_server: SqsServer) -> Iterator[Queues]:
    """What was lost is back soon, and there are attempts for what comes in the worst order."""
    with closing(create_queues(sqs_server.endpoint_url, visibility_timeout=2, max_receive_count=200)) as pair:
        yield pair


def id_of(number: int) -> str:
    """Spread over all nodes."""
    return str(uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128)))


def a_day(model: Model) -> list[str]:
    """People who post, reply to seven posts, change and leave. Who leaves is replied to by nobody, which a model of all
    orders would have to leave open."""
    people = [f"user{n}" for n in range(PEOPLE)]
    events = [sign_up(name) for name in people]
    events += [activity(name, f"post {n}", id=id_of(n + 1)) for n, name in enumerate(people)]
    events += [
        activity(people[3 + n % (PEOPLE - 3)], "reply", id=id_of(100 + n), reply_to=id_of(4 + n % 7)) for n in range(80)
    ]
    events += [
        updated(name, id=id_of(500 + n), handle=f"new-{name}", attributes={"locale": "en"})
        for n, name in enumerate(people[::2])
    ]
    events += [deleted(name, "keep" if name == GONE[0] else "erase") for name in GONE]
    return [model.add(event) for event in events]


def shuffled(events: list[str], seed: int) -> list[str]:
    twice = events * 2
    random.Random(seed).shuffle(twice)
    return twice


def settle(queues: Queues, database_url: str, model: Model, workers: list[WorkerProcess]) -> None:
    wait_until(lambda: not sum(queues.counts()), RECOVERY, "the queue is not empty")
    assert queues.dead_letter_count() == 0
    for worker in workers:
        worker.terminate()
        assert worker.wait() == 0, worker
        assert not worker.events("crashed"), worker
    model.assert_in(database_url)


def test_two_workers_with_everything_twice(queues: Queues, database_url: str, start_worker: StartWorker) -> None:
    model = Model()
    queues.send(*shuffled(a_day(model), 7))

    settle(queues, database_url, model, [start_worker(), start_worker()])


def test_tables_are_distributed_under_workers(cluster: Cluster, queues: Queues, start_worker: StartWorker) -> None:
    url = cluster.create_database(f"own_{uuid.uuid4().hex}")
    migrate(url)
    model = Model()
    events = shuffled(a_day(model), 5)
    workers = [start_worker(database_url=url, BATCH_SIZE="10") for _ in range(2)]
    queues.send(*events[::2])
    workers[0].wait_for("batch_committed", nth=3)

    with closing(connect(url)) as connection:
        distribute(connection)
    queues.send(*events[1::2])

    settle(queues, url, model, workers)


def test_workers_killed_at_random_moments(queues: Queues, database_url: str, start_worker: StartWorker) -> None:
    model, chance = Model(), random.Random(11)
    events = shuffled(a_day(model), 11)
    for part in range(KILLS):
        queues.send(*events[part::KILLS])
        worker = start_worker(BATCH_SIZE="10")
        # Somewhere in its first batches.
        worker.wait_for("batch_committed", nth=chance.randint(1, 3))
        worker.kill()
        worker.wait()

    settle(queues, database_url, model, [start_worker()])


@pytest.mark.parametrize("place", ["node", "coordinator"])
def test_a_server_that_crashes_and_comes_back(
    cluster: Cluster, queues: Queues, database_url: str, start_worker: StartWorker, place: str
) -> None:
    server: Node = cluster.nodes[0] if place == "node" else cluster.coordinator
    model = Model()
    events = shuffled(a_day(model), 13)
    workers = [start_worker(BATCH_SIZE="10"), start_worker(BATCH_SIZE="10")]
    queues.send(*events[::2])
    workers[0].wait_for("batch_committed")

    _away(server, lambda: queues.send(*events[1::2]), workers)

    settle(queues, database_url, model, workers)
    for worker in workers:
        assert len(worker.events("paused")) >= 1


def _away(server: Node, meanwhile: Callable[[], object], workers: list[WorkerProcess]) -> None:
    server.stop("immediate")
    try:
        meanwhile()
        for worker in workers:
            worker.wait_for("paused")
    finally:
        server.start()
