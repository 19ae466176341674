"""An operator pauses all workers: nobody receives until they resume, and it costs no message an attempt."""

from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from db.tables.worker_pause import WorkerPause, clear_worker_pause, set_worker_pause
from tests.support.events import sign_up
from tests.support.memory_system import MemorySystem
from worker.pipeline.pause_switch import LOOK_INTERVAL

HOUR = 3600  # seconds
LONG_POLL = 4  # seconds
AWAY = psycopg.OperationalError("connection refused")


def people(count: int) -> list[str]:
    return [sign_up(f"user{n}") for n in range(count)]


def receives(system: MemorySystem) -> int:
    return system.sqs.calls.count("receive_message")


def pause(system: MemorySystem, who: str = "grace", reason: str = "failover is tested") -> None:
    with system.database.transaction() as connection:
        set_worker_pause(connection, who, reason)


def resume(system: MemorySystem) -> None:
    with system.database.transaction() as connection:
        clear_worker_pause(connection)


def assert_all_visible(system: MemorySystem) -> None:
    assert all(message.visible_at <= system.clock.monotonic() for message in system.events.messages)


def test_a_worker_that_starts_in_a_pause_receives_nothing_until_it_ends(system: MemorySystem) -> None:
    pause(system)
    system.send(*people(3))
    system.worker()
    system.worker()

    system.clock.sleep(HOUR)
    assert receives(system) == 0
    resume(system)

    system.run_until_empty(within=LOOK_INTERVAL + 2)
    assert len(system.database.users) == 3


def test_nothing_is_received_before_it_is_known_whether_there_is_a_pause(system: MemorySystem) -> None:
    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "read_pause":
            system.clock.sleep(3)

    system.database.before = before
    system.worker()

    system.clock.sleep(2.9)
    assert receives(system) == 0
    system.clock.sleep(0.2)
    assert receives(system) == 1


def test_within_five_seconds_nobody_receives_and_within_five_they_do_again(system: MemorySystem) -> None:
    system.worker()
    system.worker()
    system.clock.sleep(100)
    pause(system)
    system.clock.sleep(LOOK_INTERVAL + 0.1)
    received = receives(system)
    system.clock.sleep(LONG_POLL)

    system.send(*people(25))
    system.clock.sleep(600)

    assert receives(system) == received
    assert all(message.receive_count == 0 for message in system.events.messages)
    resume(system)
    system.run_until_empty(within=LOOK_INTERVAL + 2)
    assert len(system.database.users) == 25
    assert not system.dead_letters


@pytest.mark.queues(max_receive_count=1)
def test_what_a_long_poll_brings_that_was_under_way_is_given_back_at_once(system: MemorySystem) -> None:
    system.worker(receive_wait_seconds=20)
    system.clock.sleep(100)
    pause(system)
    system.clock.run_until(lambda: system.logged("paused_by_operator"))
    system.send(*people(3))
    system.clock.sleep(10)

    assert not system.database.users
    assert len(system.events.messages) == 3
    assert_all_visible(system)
    resume(system)
    system.run_until_empty()
    assert len(system.database.users) == 3
    assert not system.dead_letters


def test_who_waits_for_room_when_a_pause_begins_receives_nothing(system: MemorySystem) -> None:
    """What is written meanwhile makes room, and that is no reason to receive the next one."""
    begun: list[str] = []

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "insert_users":
            begun.append(name)
            system.clock.sleep(LOOK_INTERVAL + 0.5)

    system.database.before = before
    system.send(*people(9))
    system.worker(max_in_flight=10, writers=2)
    system.clock.run_until(lambda: begun)
    system.clock.sleep(0.7)  # so that the look at the pause comes while somebody waits for room
    system.send(*map(sign_up, "abcde"))
    system.clock.sleep(1)
    late = sign_up("late")
    system.send(late)
    pause(system)
    system.clock.sleep(60)

    assert {message.body: message.receive_count for message in system.events.messages}[late] == 0
    resume(system)
    system.run_until_empty()


def test_the_log_says_who_has_paused_it_since_when_and_why(system: MemorySystem) -> None:
    system.worker()
    pause(system, "grace", "failover")
    system.clock.sleep(60)
    resume(system)
    system.clock.sleep(60)

    [paused], [resumed] = system.logged("paused_by_operator"), system.logged("resumed_by_operator")
    assert (paused["who"], paused["reason"], paused["log_level"]) == ("grace", "failover", "warning")
    assert (resumed["who"], resumed["since"]) == ("grace", paused["since"])
    assert paused["since"].endswith("Z")
    assert not system.logged("paused")


def test_a_pause_that_another_one_has_followed_is_logged_anew(system: MemorySystem) -> None:
    system.worker()
    pause(system, "grace")
    system.clock.sleep(10)
    resume(system)
    pause(system, "ada")
    system.clock.sleep(10)

    assert [line["who"] for line in system.logged("paused_by_operator")] == ["grace", "ada"]
    assert not system.logged("resumed_by_operator")


@pytest.mark.queues(max_receive_count=1)
def test_under_load_what_is_begun_is_committed_and_the_rest_is_given_back(system: MemorySystem) -> None:
    begun: list[str] = []

    def before(name: str, parameters: Mapping[str, Any]) -> None:
        if name == "insert_users":
            begun.extend(parameters["cognito_user_ids"])
            system.clock.sleep(20)

    system.database.before = before
    system.send(*people(3))
    system.worker(writers=1)
    system.clock.run_until(lambda: begun)
    first = set(begun)
    system.send(*(sign_up(f"late{n}") for n in range(30)))
    system.clock.sleep(1)
    pause_beside_the_transaction(system)
    system.clock.sleep(60)

    assert {*system.database.users} == first
    assert not system.dead_letters
    assert_all_visible(system)
    assert len(system.events.messages) == 33 - len(first)
    system.database.before = lambda _name, _parameters: None
    resume(system)
    system.run_until_empty(within=60)
    assert {*system.database.users} == {f"user{n}" for n in range(3)} | {f"late{n}" for n in range(30)}
    assert not system.dead_letters


def pause_beside_the_transaction(system: MemorySystem) -> None:
    """As on Postgres, where it waits for nobody; in memory there is one transaction at a time."""
    system.clock.thread("operator", lambda: pause(system))


def test_while_the_database_is_away_the_pause_holds(system: MemorySystem) -> None:
    pause(system)
    system.send(*people(3))
    system.worker()
    system.clock.sleep(60)
    system.database.away = AWAY
    system.clock.sleep(HOUR)
    system.database.away = None
    system.clock.sleep(600)

    assert receives(system) == 0
    assert len(system.logged("paused_by_operator")) == 1
    resume(system)
    system.run_until_empty(within=LOOK_INTERVAL + 2)


def test_while_a_look_fails_the_last_known_state_stays_and_the_log_says_so_once(system: MemorySystem) -> None:
    fail = [True]

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "read_pause" and fail[0]:
            raise psycopg.errors.LockNotAvailable("locked")

    system.worker()
    system.clock.sleep(10)
    system.database.before = before
    pause(system)
    system.send(*people(3))
    system.run_until_empty()
    system.clock.sleep(60)
    fail[0] = False
    system.clock.sleep(60)
    fail[0] = True
    resume(system)
    system.send(sign_up("late"))
    system.clock.sleep(600)

    assert "late" not in system.database.users
    assert len(system.logged("pause_unknown")) == 2
    assert len(system.logged("pause_known")) == 1
    fail[0] = False
    system.run_until_empty(within=LOOK_INTERVAL + 2)


def test_a_look_that_fails_at_the_start_is_repeated_before_anything_is_received(system: MemorySystem) -> None:
    fail = [True]

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "read_pause" and fail[0]:
            raise AWAY

    system.database.before = before
    system.worker()
    system.clock.sleep(60)
    assert receives(system) == 0
    fail[0] = False

    system.clock.run_until(lambda: receives(system), within=LOOK_INTERVAL)


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (psycopg.errors.UndefinedTable("no such table"), "pause_not_supported"),
        (psycopg.errors.InsufficientPrivilege("not granted"), "pause_unknown"),
    ],
)
def test_a_database_that_cannot_say_is_not_paused_and_the_log_says_so_once(
    system: MemorySystem, error: psycopg.Error, event: str
) -> None:
    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "read_pause":
            raise error

    system.database.before = before
    system.send(*people(3))
    system.worker()

    system.run_until_empty(within=5)
    system.clock.sleep(600)

    [line] = system.logged(event)
    assert line["remedy"].startswith("signup-sync db ")
    assert not system.logged("paused")


def test_in_a_pause_it_stops_at_once(system: MemorySystem) -> None:
    pause(system)
    system.send(*people(3))
    worker = system.worker(threads=8)
    system.clock.sleep(60)

    assert worker.stop() < 1

    assert worker.succeeded
    assert all(message.receive_count == 0 for message in system.events.messages)
    [line] = system.logged("stopped")
    assert line["clean"]


def test_the_switch_looks_once_in_five_seconds_and_not_while_the_database_is_away(system: MemorySystem) -> None:
    system.worker()
    system.clock.sleep(1000)
    looks = system.database.looks
    system.database.away = AWAY
    system.send(sign_up("ada"))
    system.clock.sleep(1000)

    assert looks <= 1000 / LOOK_INTERVAL + 1
    assert system.database.looks - looks <= 2


def test_until_empty_in_a_pause_ends_and_does_nothing(system: MemorySystem) -> None:
    pause(system, "grace", "failover")
    system.send(*people(3))
    worker = system.worker(until_empty=True)

    system.clock.run_until(lambda: not worker.running, within=5)

    assert receives(system) == 0
    assert isinstance(worker.ended_by, WorkerPause)
    assert (worker.ended_by.who, worker.ended_by.reason) == ("grace", "failover")
    assert worker.succeeded


def test_until_empty_ends_at_a_pause_that_begins_meanwhile(system: MemorySystem) -> None:
    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "begin":
            system.clock.sleep(1)

    system.database.before = before
    system.send(*people(300))
    worker = system.worker(until_empty=True, batch_size=10)
    system.clock.sleep(2)
    system.database.before = lambda _name, _parameters: None
    pause(system)
    system.database.before = before

    system.clock.run_until(lambda: not worker.running, within=60)

    assert worker.ended_by is not None
    assert system.events.messages
    assert_all_visible(system)
