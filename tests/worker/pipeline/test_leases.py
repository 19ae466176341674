"""Leases: what takes long stays ours, and what is lost is neither written nor deleted by us."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import psycopg
import pytest

from tests.support.events import sign_up
from tests.support.memory_sqs import UNREACHABLE, refused
from tests.support.memory_system import MemorySystem

VISIBILITY_TIMEOUT = 30  # seconds, of the queue

CHANGE = "change_message_visibility_batch"


def slow_statements(system: MemorySystem, seconds: float, *names: str) -> list[list[str]]:
    """Inserts (of those users, or of any) take so long. Returns whom each insert was of, as they come."""
    inserts: list[list[str]] = []

    def before(name: str, parameters: Mapping[str, Any]) -> None:
        if name == "insert_users":
            inserts.append(parameters["cognito_user_ids"])
            if not names or {*names} & {*parameters["cognito_user_ids"]}:
                system.clock.sleep(seconds)

    system.database.before = before
    return inserts


def test_a_batch_that_takes_longer_than_its_lease_is_nobody_elses(system: MemorySystem) -> None:
    inserts = slow_statements(system, 20 * VISIBILITY_TIMEOUT)
    system.send(sign_up("ada"), sign_up("grace"))
    system.worker()
    system.worker()

    system.run_until_empty()

    assert sorted(chain(*inserts)) == ["ada", "grace"]
    assert not system.dead_letters
    assert not system.logged("lease_lost")


def test_a_large_batch_that_takes_long_is_nobody_elses(system: MemorySystem) -> None:
    """It needs several calls to be extended."""
    inserts = slow_statements(system, 20 * VISIBILITY_TIMEOUT)
    names = [f"user{n:02}" for n in range(35)]
    system.send(*map(sign_up, names))
    system.worker(batch_size=100)
    system.clock.run_until(lambda: inserts)
    assert len(inserts[0]) > 10
    system.worker()

    system.run_until_empty()

    assert sorted(chain(*inserts)) == names


@pytest.mark.queues(max_receive_count=1)
def test_a_lease_is_kept_on_the_last_attempt_too(system: MemorySystem) -> None:
    slow_statements(system, 20 * VISIBILITY_TIMEOUT)
    system.send(sign_up("ada"))
    system.worker()
    system.worker()

    system.run_until_empty()

    assert list(system.database.users) == ["ada"]
    assert not system.dead_letters


@pytest.mark.parametrize("fault", [{"before": UNREACHABLE}, {"entries": lambda _: True}, {"after": UNREACHABLE}])
def test_a_lease_is_kept_through_a_failure_of_sqs(system: MemorySystem, fault: dict[str, Any]) -> None:
    """It is tried again at the next look, which comes before the end."""
    inserts = slow_statements(system, 10 * VISIBILITY_TIMEOUT)
    system.sqs.fail(CHANGE, times=1, **fault)
    system.send(sign_up("ada"))
    system.worker()
    system.worker()

    system.run_until_empty()

    assert inserts == [["ada"]]
    assert not system.logged("lease_lost")


def test_a_lease_is_extended_no_more_often_than_it_must_be(system: MemorySystem) -> None:
    slow_statements(system, 600)
    system.send(sign_up("ada"))
    system.worker()
    system.clock.sleep(600)

    extended = system.sqs.calls.count(CHANGE)

    assert 600 / VISIBILITY_TIMEOUT <= extended <= 600 / (VISIBILITY_TIMEOUT / 2) + 1


def test_what_is_quick_is_not_extended(system: MemorySystem) -> None:
    system.send(*(sign_up(f"user{n}") for n in range(100)))
    system.worker()

    system.run_until_empty()

    assert CHANGE not in system.sqs.calls


def test_a_lease_that_cannot_be_extended_costs_a_second_delivery_and_no_more(system: MemorySystem) -> None:
    inserts = slow_statements(system, 3 * VISIBILITY_TIMEOUT)
    system.sqs.fail(CHANGE, before=refused("InternalFailure"))
    system.send(sign_up("ada"))
    system.worker()
    system.worker()

    system.run_until_empty()

    assert {name for insert in inserts for name in insert} == {"ada"}
    assert len(inserts) >= 2
    assert list(system.database.users) == ["ada"]
    assert not system.dead_letters


@pytest.mark.parametrize("code", ["ReceiptHandleIsInvalid", "AWS.SimpleQueueService.MessageNotInflight"])
def test_what_sqs_says_is_not_ours_is_not_written(system: MemorySystem, code: str) -> None:
    """It waits for the connection that another batch has, and is lost meanwhile."""
    inserts = slow_statements(system, 22, "first")
    system.send(sign_up("first"))
    worker = system.worker(writers=1)
    system.clock.run_until(lambda: inserts)
    system.sqs.fail(CHANGE, entries=lambda _: True, code=code)
    system.send(sign_up("second"))
    system.clock.run_until(lambda: len(system.logged("lease_lost")) == 2)
    system.sqs.faults.clear()
    system.clock.run_until(lambda: "first" in system.database.users)
    system.clock.sleep(5)

    assert inserts == [["first"]]
    worker.stop()
    system.worker()
    system.run_until_empty()
    assert {*system.database.users} == {"first", "second"}


def test_what_has_run_out_while_it_waited_is_not_written(system: MemorySystem) -> None:
    """Nobody has said so, but somebody else may have it by then, and has."""
    inserts = slow_statements(system, 2 * VISIBILITY_TIMEOUT, "first")
    system.send(sign_up("first"))
    system.worker(writers=1)
    system.clock.run_until(lambda: inserts)
    system.sqs.fail(CHANGE, before=UNREACHABLE)
    system.send(sign_up("second"))
    system.clock.sleep(5)  # the first worker has it, and waits for its connection

    system.worker()
    system.run_until_empty()

    assert [insert for insert in inserts if "second" in insert] == [["second"]]
    assert {*system.database.users} == {"first", "second"}


def test_a_message_that_comes_again_while_we_hold_it_is_written_once(system: MemorySystem) -> None:
    inserts = slow_statements(system, 5)
    system.sqs.duplicated = 1.0
    system.send(*(sign_up(f"user{n}") for n in range(3)))
    system.worker(threads=4, writers=2)

    system.run_until_empty()

    assert sorted(chain(*inserts)) == ["user0", "user1", "user2"]
    assert not system.dead_letters


def test_a_newer_receipt_handle_is_the_one_that_deletes(system: MemorySystem) -> None:
    """The message comes again while it is written: the older handle deletes nothing any more (SQS says `expired`)."""
    slow_statements(system, 5, "ada")
    system.send(sign_up("ada"))
    system.worker(threads=4, writers=2)
    system.clock.sleep(1)
    system.sqs.duplicated = 1.0
    system.send(sign_up("bob"))  # whose receive brings ada again
    system.clock.sleep(1)
    system.sqs.duplicated = 0.0

    system.run_until_empty(within=VISIBILITY_TIMEOUT - 5)

    assert not system.logged("left_to_sqs")


def test_the_setting_wins_over_the_queues_own_timeout(system: MemorySystem) -> None:
    slow_statements(system, 1000)
    system.send(sign_up("ada"))
    system.worker(visibility_timeout_seconds=120)

    system.clock.sleep(1)

    [message] = system.events.messages
    assert 118 <= message.visible_at - system.clock.monotonic() <= 120


def test_a_delete_that_fails_for_longer_than_the_lease_costs_a_second_delivery(system: MemorySystem) -> None:
    fault = system.sqs.fail("delete_message_batch", before=refused("InternalFailure"))
    system.sqs.fail(CHANGE, before=refused("InternalFailure"))
    system.send(sign_up("ada"))
    system.worker()
    system.clock.sleep(2.5 * VISIBILITY_TIMEOUT)
    [message] = system.events.messages
    assert message.receive_count == 3
    fault.times = 0

    system.run_until_empty(within=VISIBILITY_TIMEOUT)

    assert list(system.database.users) == ["ada"]
    assert not system.dead_letters


def test_what_could_not_be_deleted_while_nobody_received_is_delivered_again(system: MemorySystem) -> None:
    """It is written and its lease is over, in an outage of everything. It is ours no longer then."""
    system.sqs.fail("delete_message_batch", before=UNREACHABLE)
    system.sqs.fail(CHANGE, before=UNREACHABLE)
    system.send(sign_up("ada"))
    system.worker()
    system.clock.run_until(lambda: "ada" in system.database.users)
    system.database.away = psycopg.OperationalError("connection refused")
    system.send(sign_up("bob"))
    system.clock.sleep(2 * VISIBILITY_TIMEOUT)
    system.sqs.faults.clear()
    system.database.away = None

    system.run_until_empty()

    assert {*system.database.users} == {"ada", "bob"}
    assert not system.dead_letters
    assert len(system.logged("left_to_sqs")) == 1


@pytest.mark.parametrize("code", ["InvalidParameterValue", "ReceiptHandleIsInvalid"])
def test_a_delete_that_sqs_refuses_is_not_tried_again(system: MemorySystem, code: str) -> None:
    """The lease has run out, and somebody else has the message: it is theirs to delete."""
    system.sqs.fail("delete_message_batch", times=1, entries=lambda _: True, code=code)
    system.send(sign_up("ada"))
    system.worker()
    system.clock.sleep(VISIBILITY_TIMEOUT - 1)

    assert system.sqs.calls.count("delete_message_batch") == 1
    assert len(system.logged("left_to_sqs")) == 1
    system.run_until_empty()
    assert list(system.database.users) == ["ada"]


def test_a_lost_transaction_is_not_begun_by_two(system: MemorySystem) -> None:
    """An error of the database comes after the lease is lost: there is nothing that could be released any more."""

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == "insert_users" and system.clock.passed < 2 * VISIBILITY_TIMEOUT:
            system.clock.sleep(2 * VISIBILITY_TIMEOUT)
            raise psycopg.OperationalError("connection timed out")

    system.database.before = before
    system.sqs.fail(CHANGE, times=5, before=UNREACHABLE)
    system.send(sign_up("ada"))
    system.worker()

    system.run_until_empty()

    assert list(system.database.users) == ["ada"]
    assert not system.dead_letters
