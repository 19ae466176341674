"""A worker stops in whatever state it is: what is begun is finished, what is not is given back, and in bounded time."""

import uuid
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from tests.support.events import activity, sign_up
from tests.support.memory_sqs import UNREACHABLE, refused
from tests.support.memory_system import MemorySystem, RunningWorker

STOP_LIMIT = 25.0  # seconds that the worker promises
WAIT = 4  # seconds of a long poll

AWAY = psycopg.OperationalError("connection refused")


def stopped(system: MemorySystem) -> dict[str, Any]:
    [line] = system.logged("stopped")
    return dict(line)


def assert_given_back(system: MemorySystem, *names: str) -> None:
    """They are visible, and have lost no more than this one attempt."""
    now = system.clock.monotonic()
    assert sorted(message.body for message in system.events.messages) == sorted(map(sign_up, names))
    assert all(message.visible_at <= now for message in system.events.messages)
    assert all(message.receive_count <= 1 for message in system.events.messages)


def slow_inserts(system: MemorySystem, seconds: float) -> list[str]:
    """Each insert of users takes so long; the names so far."""
    names: list[str] = []

    def before(name: str, parameters: Mapping[str, Any]) -> None:
        if name == "insert_users":
            names.extend(parameters["cognito_user_ids"])
            system.clock.sleep(seconds)

    system.database.before = before
    return names


def test_on_a_quiet_queue_it_waits_for_its_poll_and_no_longer(system: MemorySystem) -> None:
    worker = system.worker(threads=8)
    system.clock.sleep(100.5)

    assert worker.stop() <= WAIT
    assert worker.succeeded
    assert stopped(system)["clean"]


def test_what_a_poll_brings_after_the_stop_is_given_back(system: MemorySystem) -> None:
    """SQS may put messages into the answer of a receive that is under way."""
    worker = system.worker()
    system.clock.sleep(100.5)
    worker.ask_to_stop()
    system.clock.sleep(0.5)
    system.send(sign_up("ada"))

    system.clock.run_until(lambda: not worker.running)

    assert_given_back(system, "ada")


def test_what_is_begun_is_committed_and_deleted(system: MemorySystem) -> None:
    begun = slow_inserts(system, 10)
    system.send(sign_up("ada"), sign_up("grace"))
    worker = system.worker()
    system.clock.run_until(lambda: begun)

    assert worker.stop() <= 10 + WAIT

    assert {*system.database.users} == {"ada", "grace"}
    assert not system.events.messages
    assert stopped(system)["clean"]


def test_what_is_begun_stays_ours_until_it_is_committed(system: MemorySystem) -> None:
    """Its lease would end during the stop."""
    begun = slow_inserts(system, 34)
    system.send(sign_up("ada"))
    worker = system.worker()
    system.clock.run_until(lambda: begun)
    system.clock.sleep(13)
    worker.ask_to_stop()
    system.worker()

    system.clock.run_until(lambda: not worker.running)

    assert begun == ["ada"]
    assert list(system.database.users) == ["ada"]
    assert stopped(system)["clean"]


def test_a_call_that_fails_once_during_the_stop_is_made_again(system: MemorySystem) -> None:
    begun = slow_inserts(system, 10)
    system.sqs.fail("delete_message_batch", times=2, before=refused("InternalFailure"))
    system.send(sign_up("ada"))
    worker = system.worker()
    system.clock.run_until(lambda: begun)

    worker.stop()

    assert list(system.database.users) == ["ada"]
    assert not system.events.messages
    assert stopped(system)["clean"]


def test_what_becomes_a_dead_letter_during_the_stop_is_deleted(system: MemorySystem) -> None:
    fault = system.sqs.fail("send_message_batch", delay=5.0)
    system.send("broken")
    worker = system.worker()
    system.clock.run_until(lambda: fault.times == float("inf") and "send_message_batch" in system.sqs.calls)

    worker.stop()

    assert [letter.body for letter in system.dead_letters] == ["broken"]
    assert not system.events.messages
    assert stopped(system)["clean"]


def test_what_waits_for_a_connection_is_given_back_at_once(system: MemorySystem) -> None:
    begun = slow_inserts(system, 10)
    system.send(sign_up("first"))
    worker = system.worker(writers=1)
    system.clock.run_until(lambda: begun)
    system.send(*(sign_up(f"user{n}") for n in range(7)))
    system.clock.sleep(2)
    assert any(message.receive_count for message in system.events.messages if "user" in message.body)

    worker.stop()

    assert list(system.database.users) == ["first"]
    assert_given_back(system, *(f"user{n}" for n in range(7)))
    assert stopped(system)["clean"]


@pytest.mark.queues(max_receive_count=1)
def test_what_is_given_back_on_its_last_attempt_is_sent_again(system: MemorySystem) -> None:
    begun = slow_inserts(system, 10)
    system.send(sign_up("first"))
    worker = system.worker(writers=1)
    system.clock.run_until(lambda: begun)
    system.send(sign_up("second"))
    system.clock.sleep(2)

    worker.stop()

    assert_given_back(system, "second")
    assert not system.dead_letters
    system.worker()
    system.run_until_empty()
    assert {*system.database.users} == {"first", "second"}


def test_before_the_database_was_ever_there_it_stops_at_once(system: MemorySystem) -> None:
    system.database.away = AWAY
    worker = system.worker()
    system.clock.sleep(100)

    assert worker.stop() < 1
    assert stopped(system)["clean"]


def test_during_an_outage_it_stops_at_once_and_everything_is_in_the_queue(system: MemorySystem) -> None:
    worker = system.worker()
    system.clock.sleep(60)
    system.database.away = AWAY
    system.send(sign_up("ada"))
    system.clock.run_until(lambda: system.logged("paused"))
    system.clock.sleep(5)

    assert worker.stop() < 1

    assert_given_back(system, "ada")
    assert stopped(system)["clean"]


def test_while_receives_fail_it_does_not_wait_for_the_next_one(system: MemorySystem) -> None:
    system.sqs.fail("receive_message", before=UNREACHABLE)
    worker = system.worker(threads=8)
    system.clock.sleep(300)

    assert worker.stop() < 1
    assert stopped(system)["clean"]


@pytest.mark.parametrize("operation", ["delete_message_batch", "send_message_batch", "change_message_visibility_batch"])
def test_what_sqs_will_not_hear_of_is_left_to_it_in_time(system: MemorySystem, operation: str) -> None:
    system.send(sign_up("ada"), "broken", activity("nobody"))
    system.sqs.fail(operation, before=refused("InternalFailure"))
    worker = system.worker()
    system.clock.sleep(2)

    assert worker.stop() <= STOP_LIMIT
    system.sqs.faults.clear()
    system.worker()
    system.run_until_empty()

    assert list(system.database.users) == ["ada"]
    assert {letter.body for letter in system.dead_letters} >= {"broken"}


def test_a_call_that_hangs_keeps_it_no_longer_than_promised(system: MemorySystem) -> None:
    system.send(sign_up("ada"))
    system.sqs.fail("delete_message_batch", delay=3600.0)
    worker = system.worker()
    system.clock.sleep(1)

    assert worker.stop() <= STOP_LIMIT
    assert not stopped(system)["clean"]


def test_a_transaction_that_hangs_keeps_it_no_longer_than_promised(system: MemorySystem) -> None:
    begun = slow_inserts(system, 3600)
    system.send(sign_up("ada"))
    worker = system.worker()
    system.clock.run_until(lambda: begun)

    assert 20 < worker.stop() <= STOP_LIMIT

    assert not stopped(system)["clean"]
    assert not system.database.users
    assert [message.body for message in system.events.messages] == [sign_up("ada")]


def test_a_conflict_is_not_tried_for_ever_while_it_stops(system: MemorySystem) -> None:
    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "insert_users":
            raise psycopg.errors.SerializationFailure("again")

    system.database.before = before
    system.send(sign_up("ada"), sign_up("grace"))
    worker = system.worker()
    system.clock.run_until(lambda: system.events.messages[0].receive_count)

    assert worker.stop() <= STOP_LIMIT
    assert len(system.events.messages) == 2


def test_a_long_queue_is_left_as_it_is(system: MemorySystem) -> None:
    slow_inserts(system, 1)
    system.send(*(sign_up(f"user{n}") for n in range(500)))
    worker = system.worker(batch_size=50)
    system.clock.sleep(2.5)

    assert worker.stop() <= 3

    written = {*system.database.users}
    assert 0 < len(written) < 500
    assert_given_back(system, *({f"user{n}" for n in range(500)} - written))


def test_a_stop_says_what_it_waits_for(system: MemorySystem) -> None:
    worker = system.worker()
    system.clock.sleep(10)

    worker.stop()

    [line] = system.logged("stopping")
    assert f"{WAIT} s" in line["waits_for"]


def test_two_stops_are_one(system: MemorySystem) -> None:
    worker = system.worker()
    system.clock.sleep(10)
    worker.ask_to_stop()
    worker.ask_to_stop()

    system.clock.run_until(lambda: not worker.running)

    assert len(system.logged("stopping")) == 1


def until_empty(system: MemorySystem) -> RunningWorker:
    worker = system.worker(until_empty=True)
    system.clock.run_until(lambda: not worker.running)
    return worker


def test_once_ends_when_the_queue_is_empty(system: MemorySystem) -> None:
    system.send(*(sign_up(f"user{n}") for n in range(25)))

    assert until_empty(system).succeeded

    assert len(system.database.users) == 25
    assert not system.events.messages
    assert system.clock.passed <= 2


def test_once_waits_for_what_is_being_written(system: MemorySystem) -> None:
    slow_inserts(system, 100)
    system.send(sign_up("ada"))

    until_empty(system)

    assert list(system.database.users) == ["ada"]
    assert not system.events.messages


def test_once_waits_for_the_database(system: MemorySystem) -> None:
    system.database.away = AWAY
    system.send(sign_up("ada"))
    worker = system.worker(until_empty=True)
    system.clock.sleep(1000)
    assert worker.running
    system.database.away = None

    system.clock.run_until(lambda: not worker.running)

    assert list(system.database.users) == ["ada"]


def test_once_does_not_wait_for_what_is_put_off(system: MemorySystem) -> None:
    system.send(activity("nobody", id=str(uuid.UUID(int=1))), sign_up("ada"))

    until_empty(system)

    assert list(system.database.users) == ["ada"]
    assert len(system.events.messages) == 1
    assert system.clock.passed < 60


def test_a_part_that_fails_ends_the_worker(system: MemorySystem) -> None:
    """Whoever runs the worker starts it anew; what it held becomes visible again."""
    mistake = "a mistake of ours, with somebody's data in it: ada@example.com"

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "insert_users":
            raise AssertionError(mistake)

    system.database.before = before
    system.send(sign_up("ada"))
    worker = system.worker()

    system.clock.run_until(lambda: not worker.running)

    assert worker.succeeded is False
    [line] = system.logged("crashed")
    assert line["error"] == "AssertionError"
    assert "example.com" not in str(line)
    assert [message.body for message in system.events.messages] == [sign_up("ada")]
    system.log.clear()
