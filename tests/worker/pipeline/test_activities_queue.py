"""A second source queue, of publishers who may not sign anybody up: what is taken of it, and where everything goes."""

from typing import Any
from uuid import UUID

import psycopg
import pytest

from signup_sync.sqs import MESSAGE_BYTES
from tests.support.events import activity, body, sign_up
from tests.support.memory_sqs import UNREACHABLE, MemoryQueue, Message
from tests.support.memory_system import MemorySystem
from worker.settings import InvalidSettings

AWAY = psycopg.OperationalError("connection refused")
FORGED = sign_up("eve")


@pytest.fixture
def activities(system: MemorySystem) -> MemoryQueue:
    return system.add_activities_queue()


def run_once(system: MemorySystem, **settings: Any) -> None:
    worker = system.worker(until_empty=True, **settings)
    system.clock.run_until(lambda: not worker.running)
    assert worker.succeeded


def text(letter: Message, name: str) -> str | None:
    attribute = letter.attributes.get(name)
    return None if attribute is None else str(attribute["StringValue"])


def test_what_both_queues_bring_is_written_and_each_is_deleted_where_it_came_from(
    system: MemorySystem, activities: MemoryQueue
) -> None:
    system.send(*(sign_up(f"user{n}") for n in range(25)), activity("user1"))
    system.send(*(activity(f"user{n}") for n in range(25)), to=activities.url)

    run_once(system)

    assert (len(system.database.users), len(system.database.activities)) == (25, 26)
    assert (system.events.messages, activities.messages, system.dead_letters) == ([], [], [])


@pytest.mark.parametrize(
    "message",
    [
        FORGED,
        sign_up("eve", display_name=""),  # which would be invalid besides
        body("user.deleted.v1", "ada", {}),
        body("activity.created.v2", "1", {}),
    ],
)
def test_nothing_but_activities_comes_by_the_activities_queue(
    system: MemorySystem, activities: MemoryQueue, message: str
) -> None:
    system.send(message, to=activities.url)

    run_once(system)

    [letter] = system.dead_letters
    assert (letter.body, text(letter, "failure_reason"), text(letter, "source_queue")) == (
        message,
        "wrong_queue",
        "activities",
    )
    assert text(letter, "failure_detail") == "type: only activity.created.v1 may come from the activities queue"
    assert not system.database.users
    assert not activities.messages


@pytest.mark.parametrize("message", ["no JSON", "[]", "{}", '{"type": 1}', activity("ada", message="")])
def test_what_is_no_event_or_a_broken_activity_is_invalid_there_too(
    system: MemorySystem, activities: MemoryQueue, message: str
) -> None:
    system.send(message, to=activities.url)

    run_once(system)

    assert system.reasons() == ["invalid_event"]
    assert text(system.dead_letters[0], "source_queue") == "activities"


def test_dead_letters_of_the_events_queue_are_as_they_are_without_another(
    system: MemorySystem, activities: MemoryQueue
) -> None:
    system.send("broken", source_queue="activities")
    system.send("broken, too", source_queue="events", to=activities.url)

    run_once(system)

    sources = {letter.body: text(letter, "source_queue") for letter in system.dead_letters}
    assert sources == {"broken": None, "broken, too": "activities"}


def test_a_dead_letter_that_is_too_long_says_where_it_came_from_or_is_left_to_sqs_which_says_it(
    system: MemorySystem, activities: MemoryQueue
) -> None:
    marker = len("source_queue") + len("String") + len("activities")
    fits, does_not = "x" * (MESSAGE_BYTES - marker), "y" * (MESSAGE_BYTES - marker + 1)
    system.send(fits, to=activities.url)
    system.send(does_not, to=activities.url)

    system.worker()
    system.run_until_empty()

    letters = {letter.body[0]: letter for letter in system.dead_letters}
    assert {name: text(letter, "source_queue") for name, letter in letters.items()} == {"x": "activities", "y": None}
    assert (letters["x"].moved_from, letters["y"].moved_from) == ("", activities.arn)


def test_an_activity_that_came_before_its_author_is_woken_by_the_other_queues_sign_up(
    system: MemorySystem, activities: MemoryQueue
) -> None:
    system.worker()
    system.send(activity("ada"), to=activities.url)
    system.clock.run_until(lambda: len(system.logged("retried_later")) == 4)
    system.send(sign_up("ada"))

    system.run_until_empty(within=3)

    assert len(system.database.activities) == 1


def test_a_run_until_empty_takes_what_one_queue_wakes_in_the_other(
    system: MemorySystem, activities: MemoryQueue
) -> None:
    system.database.before = lambda name, _: system.clock.sleep(2) if name == "insert_users" else None
    system.send(sign_up("ada"))
    system.send(activity("ada"), to=activities.url)

    run_once(system)

    assert len(system.database.activities) == 1
    assert not activities.messages


def test_each_queue_has_attempts_of_its_own(system: MemorySystem) -> None:
    activities = system.add_activities_queue(max_receive_count=2)
    system.send(activity("nobody", id=str(UUID(int=1))))
    system.send(activity("nobody", id=str(UUID(int=2))), to=activities.url)

    system.worker()
    system.run_until_empty()

    counts = {text(letter, "source_queue"): text(letter, "receive_count") for letter in system.dead_letters}
    assert counts == {None: "5", "activities": "2"}


def test_what_an_outage_meets_on_its_last_attempt_is_renewed_in_its_own_queue(system: MemorySystem) -> None:
    activities = system.add_activities_queue(max_receive_count=1)
    system.send(sign_up("ada"))
    system.worker()
    system.run_until_empty()
    system.database.away = AWAY
    system.send(activity("ada"), to=activities.url)
    system.clock.sleep(60)
    assert not system.events.messages
    assert len(activities.messages) == 1

    system.database.away = None
    system.run_until_empty()

    assert len(system.database.activities) == 1
    assert not system.dead_letters


def test_who_waits_for_authors_who_never_come_keeps_no_sign_up_waiting(
    system: MemorySystem, activities: MemoryQueue
) -> None:
    activities.most_in_flight = 120
    system.worker(max_in_flight=20)
    system.send(*(activity("nobody", id=str(UUID(int=n + 1))) for n in range(300)), to=activities.url)
    for minute in range(3):
        system.clock.sleep(60)
        system.send(sign_up(f"user{minute}"))
        system.clock.run_until(lambda: f"user{minute}" in system.database.users, within=2)  # noqa: B023 (called at once)

    assert activities.peak_in_flight < 120


def test_a_flood_of_one_queue_leaves_the_other_its_share(system: MemorySystem, activities: MemoryQueue) -> None:
    system.send(*(activity(f"user{n}") for n in range(2000)), to=activities.url)
    system.database.before = lambda *_: system.clock.sleep(0.5)
    system.worker(max_in_flight=100, batch_size=50)
    system.clock.sleep(3)
    system.send(sign_up("ada"))

    system.clock.run_until(lambda: "ada" in system.database.users, within=10)

    assert sum(not message.receive_count for message in activities.messages) > 500, "the flood is not over"


def test_what_fails_in_one_queue_is_said_of_that_queue_and_the_other_goes_on(
    system: MemorySystem, activities: MemoryQueue
) -> None:
    system.sqs.fail("receive_message", url=activities.url, before=UNREACHABLE)
    system.worker()
    system.clock.sleep(30)
    system.send(sign_up("ada"))

    system.clock.run_until(lambda: "ada" in system.database.users, within=1)

    assert [line.get("queue") for line in system.logged("receive_failed")] == ["activities"]


def test_both_queues_together_hold_no_more_than_one_may(system: MemorySystem, activities: MemoryQueue) -> None:
    system.database.before = lambda name, _: system.clock.sleep(20) if name.endswith(("_users", "_authors")) else None
    system.send(*(sign_up(f"user{n}") for n in range(100)))
    system.send(*(activity(f"user{n}") for n in range(100)), to=activities.url)

    system.worker(max_in_flight=40, threads=8, batch_size=10)
    system.clock.sleep(15)

    held = [sum(bool(message.receive_count) for message in queue.messages) for queue in (system.events, activities)]
    assert all(0 < count <= 20 for count in held), held


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("events_url", "ACTIVITIES_QUEUE_URL and QUEUE_URL are the same queue"),
        ("dead_letters_url", "ACTIVITIES_QUEUE_URL and DLQ_URL are the same queue"),
    ],
)
def test_a_queue_is_one_thing(system: MemorySystem, name: str, words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        system.worker(activities_queue_url=getattr(system, name), max_attempts=3)


def test_a_queue_without_attempts_is_named(system: MemorySystem) -> None:
    system.add_activities_queue(max_receive_count=None)

    with pytest.raises(InvalidSettings, match="the queue of ACTIVITIES_QUEUE_URL has no redrive policy"):
        system.worker()
