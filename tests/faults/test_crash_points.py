"""Killed at each boundary between two effects, by its name: nothing is lost, and nothing is counted twice."""

import signal
import uuid
from functools import partial

import psycopg
import pytest

from tests.faults.model import Model
from tests.support.dlq import Dlq
from tests.support.events import activity, sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import Queues
from tests.support.two_batches import hold_two_batches
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess

CRASHING = "tests.faults.crashing_command"
RECOVERY = 60.0  # seconds
BROKEN = [f"broken {n}" for n in range(6)]


def id_of(number: int) -> str:
    return str(uuid.UUID(int=number + 1))


@pytest.fixture
def model() -> Model:
    """A batch with something of everything: users, two who want one handle, parents, replies, and broken messages."""
    model = Model()
    for n in range(8):
        model.add(sign_up(f"user{n}"))
    model.add(sign_up("other", handle="USER0"))
    for n in range(3):
        model.add(activity(f"user{n}", f"post {n}", id=id_of(n)))
    for n in range(9):
        model.add(activity(f"user{n % 8}", f"reply {n}", id=id_of(3 + n), reply_to=id_of(n % 3)))
    for body in BROKEN:
        model.add_broken(body)
    return model


def send(queues: Queues, model: Model) -> None:
    """Everything, and some of it twice."""
    queues.send(*everything(model))


def everything(model: Model) -> list[str]:
    users = [
        sign_up(name, handle=event.handle, display_name=event.display_name)
        for name, [event] in ((name, list(events)) for name, events in model.users.items())
    ]
    posts = [
        activity(post.author, post.message, id=str(key), reply_to=str(post.reply_to) if post.reply_to else None)
        for key, post in model.activities.items()
    ]
    return [*users, *sorted(model.broken), *posts, *users[:3], *posts[3:6]]


def crash(worker: WorkerProcess) -> None:
    """Wait until it has killed itself, where it was told to."""
    assert worker.wait() == -signal.SIGKILL, worker
    assert worker.events("crashing"), worker


def assert_nothing_lost(queues: Queues, database_url: str, model: Model, start_worker: StartWorker) -> None:
    """Another worker does the rest."""
    worker = start_worker(database_url=database_url)
    wait_until(lambda: not sum(queues.counts()), RECOVERY, "the queue is not empty")
    worker.terminate()
    assert worker.wait() == 0
    model.assert_in(database_url)
    letters = queues.dead_letters()
    # Killed between a dead letter and its delete: the letter may be there twice, and is there once at least.
    assert {letter.body for letter in letters} == model.broken
    assert {letter.attributes["failure_reason"] for letter in letters} <= {"invalid_event"}


@pytest.mark.parametrize(
    "boundary",
    [
        "after_receive",
        "after_insert_of_users_before_commit",
        "after_insert_of_activities_before_commit",
        "after_insert_of_replies_before_they_are_counted",
        "after_commit_before_any_delete",
        "after_half_of_the_deletes",
        "after_the_deletes",
        "after_half_of_the_dead_letters",
        "after_dead_letter_before_its_delete",
    ],
)
def test_killed_while_it_writes(
    queues: Queues, database_url: str, start_worker: StartWorker, model: Model, boundary: str
) -> None:
    send(queues, model)

    crash(start_worker("worker", module=CRASHING, wait=False, CRASH_AT=boundary))

    assert_nothing_lost(queues, database_url, model, start_worker)


def test_killed_after_an_event_was_put_off(
    queues: Queues, database_url: str, start_worker: StartWorker, model: Model
) -> None:
    queues.send(model.add(activity("late", "early", id=id_of(99))))
    crash(start_worker("worker", module=CRASHING, wait=False, CRASH_AT="after_event_was_put_off"))

    queues.send(model.add(sign_up("late")))
    send(queues, model)

    assert_nothing_lost(queues, database_url, model, start_worker)


def test_killed_after_a_lease_was_extended(
    queues: Queues, database_url: str, start_worker: StartWorker, model: Model
) -> None:
    worker = start_worker("worker", module=CRASHING, CRASH_AT="after_lease_was_extended", LOCK_TIMEOUT_MS="20000")
    worker.wait_for("opened")
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE users IN SHARE MODE")
        send(queues, model)
        crash(worker)

    assert_nothing_lost(queues, database_url, model, start_worker)


@pytest.mark.parametrize(
    ("boundary", "settings"),
    [
        ("after_release", {}),
        ("after_half_of_the_releases", {}),
        # Each receive is the last attempt: what is released is sent again instead.
        ("after_renewal_before_its_delete", {"MAX_ATTEMPTS": "1"}),
        ("stopping_before_anything_is_released", {}),
        ("stopping_before_the_last_calls", {}),
        ("stopping_before_the_last_calls", {"MAX_ATTEMPTS": "1"}),
        ("stopping_after_the_last_calls", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "last-attempt" if value else "",
)
def test_killed_while_it_stops(
    queues: Queues,
    sqs: FaultProxy,
    database_url: str,
    start_worker: StartWorker,
    model: Model,
    boundary: str,
    settings: dict[str, str],
) -> None:
    own = {"CRASH_AT": boundary, "WRITERS": "1", "LOCK_TIMEOUT_MS": "20000", **settings}
    worker = start_worker("worker", module=CRASHING, endpoint_url=sqs.endpoint_url, **own)
    worker.wait_for("opened")
    bodies = everything(model)
    with psycopg.connect(database_url) as blocker:
        # Who writes waits for this transaction.
        blocker.execute("LOCK TABLE users IN SHARE MODE")
        hold_two_batches(worker, queues, sqs, bodies[:9])
        queues.send(*bodies[9:])
        worker.terminate()
        worker.wait_for("stopping")
    crash(worker)

    assert_nothing_lost(queues, database_url, model, start_worker)


@pytest.mark.parametrize(
    "boundary",
    [
        "after_replay_before_its_delete",
        "after_half_of_a_replay",
        "after_half_of_a_replay_s_deletes",
        "after_replay_s_deletes",
    ],
)
def test_killed_while_it_replays(
    queues: Queues, database_url: str, start_worker: StartWorker, model: Model, boundary: str
) -> None:
    dlq = Dlq(queues)
    people = [model.add(sign_up(f"dead{n}")) for n in range(25)]
    dlq.fill(*people)

    crash(start_worker("dlq", "replay", module=CRASHING, wait=False, CRASH_AT=boundary))

    dlq.wait_until_all_visible()
    assert dlq.run("replay").returncode == 0
    send(queues, model)
    assert_nothing_lost(queues, database_url, model, start_worker)


def test_killed_while_it_migrates(
    queues: Queues, empty_database_url: str, start_worker: StartWorker, model: Model
) -> None:
    """Under a worker that waits for the tables."""
    waiting = start_worker(database_url=empty_database_url)
    waiting.wait_for("paused")
    send(queues, model)

    boundary = "after_migration_before_its_commit"
    migrate = partial(start_worker, "db", "migrate", module=CRASHING, wait=False, database_url=empty_database_url)
    crash(migrate(CRASH_AT=boundary))
    assert waiting.events("resumed") == []
    assert migrate(CRASH_AT="after_receive").wait() == 0  # where it does not come

    assert_nothing_lost(queues, empty_database_url, model, start_worker)


def test_killed_while_it_mends_a_dead_letter(
    queues: Queues, database_url: str, start_worker: StartWorker, model: Model
) -> None:
    dlq = Dlq(queues)
    [letter] = dlq.fill(sign_up("mended", handle="a b"), reason="invalid_event")
    model.add(sign_up("mended"))

    mend = ("edit", letter, "--set", "data.handle=mended", "--yes")
    crash(start_worker("dlq", *mend, module=CRASHING, wait=False, CRASH_AT="after_replay_before_its_delete"))

    dlq.wait_until_all_visible()
    assert dlq.run(*mend).returncode == 0
    send(queues, model)
    assert_nothing_lost(queues, database_url, model, start_worker)
