"""What is put off is in flight, of which SQS allows only so many: there is room for others, however much waits."""

from typing import Any
from uuid import UUID

import pytest

from tests.support.events import activity, sign_up
from tests.support.memory_sqs import UNREACHABLE
from tests.support.memory_system import MemorySystem
from worker.aws.sqs import ATTEMPTS_BEFORE
from worker.pipeline.invisible_messages import InvisibleMessages
from worker.pipeline.retry_delay import SPAN

HELD = 10  # messages at once, so that some fifty wait in flight
MOST_IN_FLIGHT = 120  # of the queue


def activities(count: int) -> list[str]:
    return [activity("ada", id=str(UUID(int=n + 1))) for n in range(count)]


@pytest.fixture
def system(system: MemorySystem) -> MemorySystem:
    system.events.most_in_flight = MOST_IN_FLIGHT
    return system


def test_sign_ups_go_on_whatever_waits_for_authors_who_never_come(system: MemorySystem) -> None:
    system.worker(max_in_flight=HELD)
    system.send(*activities(300))
    for minute in range(5):
        system.clock.sleep(60)
        system.send(sign_up(f"user{minute}"))
        system.clock.run_until(lambda: f"user{minute}" in system.database.users, within=5)  # noqa: B023 (called at once)

    system.run_until_empty()

    assert system.events.peak_in_flight < MOST_IN_FLIGHT
    assert not system.logged("receive_failed")


@pytest.mark.parametrize(
    "max_receive_count", [pytest.param(n, marks=pytest.mark.queues(max_receive_count=n)) for n in (2, 5)]
)
def test_each_has_its_attempts_and_its_quarter_of_an_hour(system: MemorySystem, max_receive_count: int) -> None:
    system.worker(max_in_flight=HELD)
    system.send(*activities(300))

    system.run_until_empty()

    assert system.reasons() == ["unknown_author"] * 300
    assert {letter.attributes["receive_count"]["StringValue"] for letter in system.dead_letters} == {
        str(max_receive_count)
    }
    assert len(system.logged("retried_later")) == 300 * (max_receive_count - 1)
    assert SPAN - max_receive_count <= system.clock.passed <= 2 * SPAN
    assert all(ATTEMPTS_BEFORE not in letter.attributes for letter in system.dead_letters)


def test_nothing_that_waits_is_lost(system: MemorySystem) -> None:
    system.worker(max_in_flight=HELD)
    system.send(*activities(300))
    system.clock.sleep(30)
    system.sqs.fail("send_message_batch", times=5, before=UNREACHABLE)
    system.sqs.fail("delete_message_batch", times=5, after=UNREACHABLE)
    system.send(sign_up("ada"))

    system.run_until_empty()

    assert len(system.database.activities) == 300
    assert not system.dead_letters


def test_a_message_keeps_as_many_attributes_as_sqs_takes(system: MemorySystem) -> None:
    system.send(*activities(60))
    mine: dict[str, Any] = {f"name{n}": {"DataType": "String", "StringValue": "mine"} for n in range(10)}
    for message in system.events.messages:
        message.attributes = dict(mine)
    system.worker(max_in_flight=HELD)
    system.clock.sleep(3)

    names = {frozenset(message.attributes) for message in system.events.messages}

    assert names == {frozenset(mine), frozenset([*list(mine)[:9], ATTEMPTS_BEFORE])}


@pytest.mark.parametrize("text", ["-5", "many", "99999", "", "٣"])
def test_attempts_that_somebody_else_has_made_up_count_for_nothing(system: MemorySystem, text: str) -> None:
    system.send(*activities(1))
    [message] = system.events.messages
    message.attributes[ATTEMPTS_BEFORE] = {"DataType": "String", "StringValue": text}
    system.worker()

    system.run_until_empty()

    [letter] = system.dead_letters
    assert letter.attributes["receive_count"]["StringValue"] == "5"


def test_there_is_room_again_when_they_are_visible(system: MemorySystem) -> None:
    invisible = InvisibleMessages(2, system.clock)

    assert [invisible.add(10), invisible.add(20), invisible.add(1)] == [True, True, False]
    system.clock.sleep(10)
    assert [invisible.add(10), invisible.add(10)] == [True, False]
