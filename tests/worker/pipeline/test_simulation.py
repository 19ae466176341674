"""Everything that can go wrong at once, at random, in an order of threads that is random too: nothing is lost.

A run follows from its seed alone. To look into one that fails: `run(seed)`, and `system.log`.
"""

import json
import random
import uuid
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from tests.support.events import activity, sign_up
from tests.support.memory_sqs import UNREACHABLE, lost, refused
from tests.support.memory_system import MemorySystem, RunningWorker, memory_system

RUNS = 10
STORM = 300.0  # seconds in which everything goes wrong
RECOVERY = 6 * 3600.0  # seconds: long after the storm what was sent again with its last attempt may still have to wait
MAX_RECEIVE_COUNT = 1000  # so many that none of them is ever the last one, but where the workers are told otherwise

OPERATIONS = ["receive_message", "delete_message_batch", "send_message_batch", "change_message_visibility_batch", ""]
CALLS_FAIL: list[dict[str, Any]] = [
    {"before": UNREACHABLE},
    {"before": refused("InternalFailure")},
    {"before": refused("ThrottlingException")},
    {"after": lost()},
    {"delay": 3.0},
    {"delay": 12.0, "after": lost()},
    {"entries": lambda place: place % 3 == 1},
]
STATEMENTS_FAIL = [
    psycopg.OperationalError("connection lost"),
    psycopg.errors.SerializationFailure("again"),
    psycopg.errors.DeadlockDetected("deadlock"),
    psycopg.errors.AdminShutdown("restart"),
    psycopg.errors.LockNotAvailable("locked"),
    psycopg.errors.QueryCanceled("slow"),
]


class Story:
    """What is sent, in a random order and some of it twice; and what must be there in the end."""

    def __init__(self, chance: random.Random) -> None:
        self.users = {f"user{n}" for n in range(20)}
        self.broken = {f"broken {n}" for n in range(5)}
        self.posts = {uuid.UUID(int=n + 1): f"user{n}" for n in range(10)}
        parents = list(self.posts)
        self.replies = {uuid.UUID(int=n + 100): parents[n % 4] for n in range(15)}
        bodies = [
            *map(sign_up, sorted(self.users)),
            *self.broken,
            *(activity(author, id=str(post)) for post, author in self.posts.items()),
            *(activity("user1", id=str(reply), reply_to=str(post)) for reply, post in self.replies.items()),
        ]
        self.bodies = bodies + chance.sample([body for body in bodies if body not in self.broken], 15)
        chance.shuffle(self.bodies)

    def check(self, system: MemorySystem) -> None:
        assert {*system.database.users} == self.users
        replies = {post: sum(parent == post for parent in self.replies.values()) for post in self.posts}
        expected = replies | dict.fromkeys(self.replies, 0)
        assert {key: row["replies_count"] for key, row in system.database.activities.items()} == expected
        # A dead letter may be there twice, where the answer to its sending was lost.
        assert {letter.body for letter in system.dead_letters} == self.broken


def break_things(system: MemorySystem, chance: random.Random) -> None:
    """From now on calls and statements fail at random."""

    def before(name: str, _: Mapping[str, Any]) -> None:
        if system.clock.passed > STORM or name == "probe":
            return
        what = chance.random()
        if what < 0.05:
            system.clock.sleep(chance.uniform(0, 40))
        elif what < 0.15:
            raise chance.choice(STATEMENTS_FAIL)

    system.database.before = before


def storm(system: MemorySystem, story: Story, chance: random.Random) -> list[RunningWorker]:
    """Send everything by and by, while workers come and go and everything fails."""
    workers = [start(system, chance), start(system, chance)]
    break_things(system, chance)
    left = list(story.bodies)
    while system.clock.passed < STORM:
        system.send(*(left.pop() for _ in range(min(len(left), chance.randrange(1, 6)))))
        system.sqs.fail(chance.choice(OPERATIONS), times=chance.randrange(1, 4), **chance.choice(CALLS_FAIL))
        system.database.away = psycopg.OperationalError("away") if chance.random() < 0.2 else None
        system.database.lost_commits = int(chance.random() < 0.2)
        if chance.random() < 0.15:
            workers[0].ask_to_stop()
            workers = [*workers[1:], start(system, chance)]
        system.clock.sleep(chance.expovariate(1 / 6))
    system.send(*left)
    return workers


def start(system: MemorySystem, chance: random.Random) -> RunningWorker:
    return system.worker(
        threads=chance.choice([1, 3, 6]), writers=chance.choice([1, 2]), batch_size=chance.choice([1, 7, 100])
    )


def run(seed: int) -> None:
    chance = random.Random(seed)
    random.seed(seed)  # the jitter of backoffs
    with memory_system(seed, max_receive_count=MAX_RECEIVE_COUNT) as system:
        system.sqs.duplicated = 0.1
        story = Story(chance)
        workers = storm(system, story, chance)
        system.sqs.faults.clear()
        system.database.away = None
        workers += [start(system, chance)]

        system.run_until_empty(RECOVERY)

        story.check(system)
        for worker in workers:
            worker.ask_to_stop()
        system.clock.run_until(lambda: not any(worker.running for worker in workers), 60)
        assert all(worker.succeeded for worker in workers)
        assert not [json.dumps(line, default=str) for line in system.log if "example.com" in str(line)]


@pytest.mark.parametrize("seed", range(RUNS))
def test_nothing_is_lost_in_a_storm(seed: int) -> None:
    run(seed)


def test_a_run_follows_from_its_seed() -> None:
    logs = []
    for _ in range(2):
        chance = random.Random(7)
        random.seed(7)
        with memory_system(7, max_receive_count=MAX_RECEIVE_COUNT) as system:
            storm(system, Story(chance), chance)
            logs.append([(line["event"], line.get("seconds")) for line in system.log])
    assert logs[0] == logs[1]
