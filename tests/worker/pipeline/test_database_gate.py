"""The database goes away, in all its ways: nobody receives meanwhile, and it costs no message an attempt."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.events import activity, sign_up
from tests.support.memory_system import MemorySystem

DAY = 86_400  # seconds
HOURS = 4 * 3600  # seconds: many times what all attempts of a message take together
AWAY = psycopg.OperationalError("connection refused")


class ReadOnly(psycopg.OperationalError):
    sqlstate = "25006"


def people(count: int) -> list[str]:
    return [sign_up(f"user{n}") for n in range(count)]


def receives(system: MemorySystem) -> int:
    return system.sqs.calls.count("receive_message")


def test_nothing_is_received_before_the_database_has_been_reached(system: MemorySystem) -> None:
    system.database.away = AWAY
    system.send(*people(3))
    system.worker()

    system.clock.sleep(600)
    assert receives(system) == 0
    assert len(system.logged("paused")) == 1
    system.database.away = None

    system.run_until_empty()
    assert len(system.database.users) == 3


def test_nothing_is_received_before_the_first_probe_has_ended(system: MemorySystem) -> None:
    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "probe":
            system.clock.sleep(5)

    system.database.before = before
    system.worker()

    system.clock.sleep(4.9)
    assert receives(system) == 0
    system.clock.sleep(0.2)
    assert receives(system) == 1


def test_an_outage_of_a_day_costs_no_attempt_and_is_reported_once(system: MemorySystem) -> None:
    system.worker()
    system.send(sign_up("before"))
    system.run_until_empty()

    system.database.away = AWAY
    system.send(*people(25))
    system.clock.sleep(60)
    received = receives(system)
    system.clock.sleep(DAY)

    assert receives(system) == received
    assert all(message.receive_count <= 1 for message in system.events.messages)
    assert all(message.visible_at <= system.clock.monotonic() for message in system.events.messages)
    system.database.away = None
    system.run_until_empty(within=60)
    assert len(system.database.users) == 26
    assert not system.dead_letters
    [paused], [resumed] = system.logged("paused"), system.logged("resumed")
    assert "connection refused" in paused["reason"]
    assert DAY < resumed["paused_seconds"] < DAY + 120


@pytest.mark.queues(max_receive_count=1)
def test_what_is_on_its_last_attempt_survives_outage_after_outage(system: MemorySystem) -> None:
    fail = [True]

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "insert_users" and fail[0]:
            fail[0] = False
            raise psycopg.OperationalError("the server closed the connection")

    system.database.before = before
    system.worker()
    for n in range(5):
        fail[0] = True
        system.send(sign_up(f"user{n}"))
        system.run_until_empty()

    assert len(system.database.users) == 5
    assert not system.dead_letters
    assert len(system.logged("paused")) == len(system.logged("resumed")) == 5


@pytest.mark.queues(max_receive_count=1)
def test_what_is_sent_again_has_its_attributes(system: MemorySystem) -> None:
    system.send(sign_up("ada"))
    [message] = system.events.messages
    message.attributes["trace"] = {"DataType": "String", "StringValue": "mine"}
    system.worker()
    system.database.before = refusing(system, "insert_users", AWAY)

    system.clock.run_until(lambda: message not in system.events.messages)

    [again] = system.events.messages
    assert (again.body, again.attributes, again.receive_count) == (message.body, message.attributes, 0)


def refusing(system: MemorySystem, statement: str, error: psycopg.Error) -> Any:
    """From that statement on the database is away."""

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == statement:
            system.database.away = error
            raise error

    return before


@pytest.mark.parametrize("error", [AWAY, ReadOnly("read-only"), psycopg.errors.DiskFull("full")])
def test_what_was_in_hand_is_visible_again_at_once(system: MemorySystem, error: psycopg.Error) -> None:
    system.database.before = refusing(system, "insert_users", error)
    system.send(*people(10))
    system.worker()

    system.clock.run_until(lambda: system.logged("paused"))
    system.clock.sleep(3)

    assert all(message.visible_at <= system.clock.monotonic() for message in system.events.messages)
    assert [message.receive_count for message in system.events.messages] == [1] * 10
    system.database.away = None
    system.database.before = lambda _name, _parameters: None
    system.run_until_empty()
    assert len(system.database.users) == 10


def test_the_database_is_probed_soon_and_then_every_few_seconds(system: MemorySystem) -> None:
    system.database.away = AWAY
    system.worker()

    system.clock.sleep(3)
    early = system.database.probes
    system.clock.sleep(3600)

    assert early >= 3
    assert 3600 / 5 <= system.database.probes - early <= 3600 / 2.5 + 10  # five seconds, and by chance down to half


def test_a_database_that_answers_and_cannot_be_written_to_is_left_alone_for_longer_and_longer(
    system: MemorySystem,
) -> None:
    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "insert_users":
            raise psycopg.errors.DiskFull("full")

    system.database.before = before
    system.worker()
    system.send(sign_up("ada"))

    system.clock.sleep(600)

    tried = len(system.logged("paused"))
    assert 600 / 5 <= tried <= 600 / 2.5 + 10
    system.database.before = lambda _name, _parameters: None
    system.run_until_empty()
    assert not system.dead_letters


def test_after_a_commit_the_next_outage_is_probed_soon_again(system: MemorySystem) -> None:
    system.worker()
    for n in range(3):
        system.database.away = AWAY
        system.send(sign_up(f"user{n}"))
        system.clock.sleep(300)
        system.database.away = None
        system.run_until_empty()
    system.database.before = failing_once()

    system.send(sign_up("last"))
    began = system.clock.monotonic()
    system.run_until_empty()

    assert system.clock.monotonic() - began < 2


def failing_once() -> Any:
    left = [AWAY]

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "insert_users" and left:
            raise left.pop()

    return before


def test_old_news_of_an_outage_that_is_over_does_not_begin_it_again(system: MemorySystem) -> None:
    """Two batches are written at once: one hangs until long after the other one's outage is over, and then fails."""
    begun: list[str] = []

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name != "begin":
            return
        begun.append(name)
        if len(begun) == 1:
            system.clock.sleep(20)
            raise psycopg.OperationalError("connection timed out")
        if len(begun) == 2:
            raise psycopg.OperationalError("connection refused")

    system.database.before = before
    system.worker(writers=2)
    system.send(sign_up("slow"))
    [slow] = system.events.messages
    system.clock.run_until(lambda: begun)
    system.send(sign_up("quick"))

    system.run_until_empty()

    assert {*system.database.users} == {"slow", "quick"}
    assert len(system.logged("paused")) == len(system.logged("resumed")) == 1
    assert slow.receive_count == 1
    assert system.clock.passed < 30


def test_what_waits_for_a_connection_when_the_database_goes_is_given_back(system: MemorySystem) -> None:
    """It would only wait again: for the database, and each batch after the other."""
    away = [True]
    begun: list[float] = []

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "begin":
            begun.append(system.clock.monotonic())
            system.clock.sleep(5)
        if away[0] and name in ("begin", "probe") and begun:
            raise AWAY

    system.database.before = before
    system.worker(writers=1)
    system.send(sign_up("first"))
    system.clock.run_until(lambda: begun)
    system.send(sign_up("second"))
    system.clock.sleep(60)

    assert len(begun) == 1
    assert all(message.visible_at <= system.clock.monotonic() for message in system.events.messages)
    away[0] = False
    system.run_until_empty()
    assert {*system.database.users} == {"first", "second"}


def test_who_waits_for_room_when_the_database_goes_receives_nothing(system: MemorySystem) -> None:
    """What is given back makes room, and that is no reason to receive the next one."""
    begun: list[str] = []

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "insert_users":
            begun.append(name)
            system.clock.sleep(5.5)
            system.database.away = AWAY
            raise AWAY

    system.database.before = before
    system.send(*people(9))
    system.worker(max_in_flight=10, writers=2)
    system.clock.run_until(lambda: begun)
    system.send(*map(sign_up, "abcde"))
    system.clock.sleep(1)
    late = sign_up("late")
    system.send(late)
    system.clock.sleep(60)

    assert len(system.logged("paused")) == 1
    assert {message.body: message.receive_count for message in system.events.messages}[late] == 0


def test_who_has_outlived_an_outage_knows_the_next_one(system: MemorySystem) -> None:
    """A batch that failed with old news is tried again, and what it finds then is news."""
    begun: list[str] = []

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name != "begin":
            return
        begun.append(name)
        nth = len(begun)
        if nth == 1:
            system.clock.sleep(20)
            system.database.away = AWAY
        if nth <= 2:
            raise AWAY

    system.database.before = before
    system.worker(writers=2)
    system.send(sign_up("slow"))
    system.clock.run_until(lambda: begun)
    system.send(sign_up("quick"))
    system.clock.sleep(60)

    assert len(system.logged("paused")) == 2
    assert all(message.visible_at <= system.clock.monotonic() for message in system.events.messages)
    system.database.away = None
    system.run_until_empty()
    assert {*system.database.users} == {"slow", "quick"}


def test_what_is_given_back_is_not_received_again_by_a_long_poll_of_our_own(system: MemorySystem) -> None:
    """While something is in hand polls are short, so that giving it back need not wait for them."""

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "insert_users":
            system.clock.sleep(5.5)
            system.database.away = AWAY
            raise AWAY

    system.database.before = before
    system.send(sign_up("ada"))
    system.worker(receive_wait_seconds=20)

    system.clock.run_until(lambda: system.logged("paused"))
    system.clock.sleep(60)

    [message] = system.events.messages
    assert message.receive_count == 1
    assert message.visible_at <= system.clock.monotonic()


def test_a_statement_that_took_too_long_is_the_databases_fault_if_the_probe_says_so(system: MemorySystem) -> None:
    slow = [True]

    def before(name: str, _: Mapping[str, Any]) -> None:
        if slow[0] and name in ("insert_users", "probe") and system.clock.passed > 1:
            raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")

    system.database.before = before
    system.worker()
    system.clock.sleep(2)
    system.send(*people(5))
    system.clock.sleep(3600)
    assert not system.dead_letters
    assert len(system.logged("paused")) == 1

    slow[0] = False

    system.run_until_empty()
    assert len(system.database.users) == 5


def test_a_statement_that_took_too_long_for_one_message_costs_only_that_one(system: MemorySystem) -> None:
    def before(_: str, parameters: Mapping[str, Any]) -> None:
        if "user3" in parameters.get("cognito_user_ids", []):
            raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")

    system.database.before = before
    system.worker()
    system.send(*people(5))

    system.run_until_empty()

    assert {*system.database.users} == {"user0", "user1", "user2", "user4"}
    assert system.reasons() == ["attempts_exhausted"]
    assert not system.logged("paused")


def slow(name: str, _: Mapping[str, Any]) -> None:
    """All inserts are, and nothing else."""
    if name.startswith("insert"):
        raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")


@pytest.mark.queues(max_receive_count=2)
@pytest.mark.parametrize("count", [1, 3, 250])
def test_inserts_that_are_slow_for_hours_while_all_else_is_quick_cost_nothing(system: MemorySystem, count: int) -> None:
    """The probe does not write, and so would see no outage; one message alone could be slow by its own fault."""
    system.database.before = slow
    system.worker()
    system.send(*people(count))
    system.clock.sleep(60)
    received = receives(system)
    system.clock.sleep(HOURS)

    assert receives(system) == received
    assert all(message.receive_count <= 1 for message in system.events.messages)
    assert not system.dead_letters
    assert len(system.logged("paused")) == 1
    assert not system.logged("retried_later")
    system.database.before = lambda _name, _parameters: None
    system.run_until_empty(within=60)
    assert len(system.database.users) == count
    assert not system.dead_letters


@pytest.mark.queues(max_receive_count=1)
def test_slow_inserts_of_activities_alone_are_the_databases_fault_too(system: MemorySystem) -> None:
    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "insert_activities":
            raise psycopg.errors.LockNotAvailable("canceling statement due to lock timeout")

    system.send(sign_up("ada"))
    system.worker()
    system.run_until_empty()
    system.database.before = before
    system.send(activity("ada", id=str(UUID(int=1))))
    system.clock.sleep(HOURS)
    assert not system.dead_letters

    system.database.before = lambda _name, _parameters: None
    system.run_until_empty(within=60)

    assert len(system.database.activities) == 1


def test_a_few_messages_that_are_slow_by_themselves_stop_nobody_even_if_nothing_else_comes(
    system: MemorySystem,
) -> None:
    """No commit for long is no proof either: these two are all there is."""

    def before(_: str, parameters: Mapping[str, Any]) -> None:
        if {"user0", "user1"} & {*parameters.get("cognito_user_ids", [])}:
            raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")

    system.database.before = before
    system.worker()
    system.send(*people(2))
    system.clock.sleep(60)
    system.send(sign_up("user2"))
    system.clock.run_until(lambda: "user2" in system.database.users, within=10)
    system.run_until_empty()

    assert system.reasons() == ["attempts_exhausted", "attempts_exhausted"]
    assert not system.logged("paused")


def test_after_slow_inserts_an_outage_of_another_kind_is_over_with_the_probe(system: MemorySystem) -> None:
    system.database.before = slow
    system.worker()
    system.send(sign_up("ada"))
    system.clock.sleep(600)
    system.database.before = lambda _name, _parameters: None
    system.run_until_empty(within=60)
    rehearsals = system.database.rehearsals

    system.database.away = AWAY
    system.send(sign_up("bob"))
    system.clock.sleep(600)
    system.database.away = None
    system.run_until_empty(within=60)

    assert system.database.rehearsals == rehearsals > 600 / 5


def test_a_rehearsed_row_that_the_database_refuses_is_no_outage(system: MemorySystem) -> None:
    """An operator may have a constraint of their own, that only rows of events satisfy."""

    def before(_: str, parameters: Mapping[str, Any]) -> None:
        ids = parameters.get("cognito_user_ids", [])
        if any(id_.startswith("rehearsal") for id_ in ids):
            raise psycopg.errors.CheckViolation("not one of ours")
        if "user3" in ids:
            raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")

    system.database.before = before
    system.worker()
    system.send(*people(5))
    system.run_until_empty()

    assert system.reasons() == ["attempts_exhausted"]
    assert not system.logged("paused")


def test_a_database_that_goes_again_while_its_connections_are_renewed_stays_away(system: MemorySystem) -> None:
    """The probe has a connection, the pool has none: the gate stays shut, and the outage is one."""
    system.worker()
    system.database.before = failing_once()
    resets: list[float] = []
    reset = system.database.reset

    def failing_reset() -> None:
        resets.append(system.clock.monotonic())
        if len(resets) < 5:
            raise psycopg.OperationalError("no connection")
        reset()

    system.database.reset = failing_reset  # type: ignore[method-assign]
    system.send(sign_up("ada"))

    system.run_until_empty()

    assert len(resets) == 5
    assert len(system.logged("paused")) == len(system.logged("resumed")) == 1


def test_two_workers_in_an_outage_write_everything_once(system: MemorySystem) -> None:
    inserted: list[str] = []

    def before(name: str, parameters: Mapping[str, Any]) -> None:
        if name == "insert_users":
            inserted.extend(parameters["cognito_user_ids"])

    system.database.away = AWAY
    system.worker()
    system.worker()
    system.send(*people(50))
    system.clock.sleep(1000)
    system.database.before = before
    system.database.away = None

    system.run_until_empty()

    assert sorted(inserted) == sorted(f"user{n}" for n in range(50))
