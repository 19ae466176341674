"""SQS fails, in all its ways: the worker tries again with backoff, neither loses a message nor keeps SQS busy."""

from typing import Any

import psycopg
import pytest

from tests.support.events import activity, sign_up
from tests.support.memory_sqs import UNREACHABLE, Fault, lost, refused
from tests.support.memory_system import MemorySystem

RECEIVE, DELETE, SEND, CHANGE = (
    "receive_message",
    "delete_message_batch",
    "send_message_batch",
    "change_message_visibility_batch",
)

FAULTS: dict[str, dict[str, Any]] = {
    "unreachable": {"before": UNREACHABLE},
    "throttled": {"before": refused("ThrottlingException")},
    "failing": {"before": refused("InternalFailure")},
    "expired credentials": {"before": refused("ExpiredTokenException")},
    "no permission": {"before": refused("AccessDeniedException")},
    "lost answers": {"after": lost()},
    "slow and lost": {"delay": 10.0, "before": lost()},
    "half of each batch": {"entries": lambda place: place % 2 == 0},
    "all of each batch": {"entries": lambda _: True, "code": "ServiceUnavailable"},
}


def send_everything(system: MemorySystem) -> None:
    """Of every outcome some: rows, dead letters, an activity that has to wait, and one whose lock passes."""
    locked = [True]

    def before(name: str, parameters: Any) -> None:
        if name == "insert_users" and "locked" in parameters["cognito_user_ids"] and locked.pop():
            raise psycopg.errors.LockNotAvailable("somebody has a lock")

    def released(name: str, parameters: Any) -> None:
        if locked:
            before(name, parameters)

    system.database.before = released
    system.send(*(sign_up(f"user{n}") for n in range(30)), *(f"broken {n}" for n in range(12)))
    system.send(activity("late"), sign_up("locked"))


def assert_everything_is_settled(system: MemorySystem) -> None:
    system.run_until_empty()
    assert {*system.database.users} == {*(f"user{n}" for n in range(30)), "late", "locked"}
    assert len(system.database.activities) == 1
    assert {letter.body for letter in system.dead_letters} == {f"broken {n}" for n in range(12)}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("operation", [RECEIVE, DELETE, SEND, CHANGE, ""])
def test_a_call_fails_for_a_while(system: MemorySystem, operation: str, fault: dict[str, Any]) -> None:
    system.worker()
    system.clock.sleep(1)
    broken = system.sqs.fail(operation, **fault)
    send_everything(system)
    system.clock.sleep(20)
    broken.times = 0
    system.send(sign_up("late"))

    assert_everything_is_settled(system)
    assert not system.logged("crashed")


@pytest.mark.parametrize("fault", ["unreachable", "throttled", "expired credentials"])
def test_while_receives_fail_they_are_few_and_that_is_said_once(system: MemorySystem, fault: str) -> None:
    system.worker(threads=16)
    system.clock.sleep(100)
    system.sqs.calls.clear()
    broken = system.sqs.fail(RECEIVE, **FAULTS[fault])

    system.clock.sleep(600)
    during = system.sqs.calls.count(RECEIVE)
    broken.times = 0
    system.clock.sleep(60)

    assert 600 / 20 <= during <= 600 / 10 + 10  # up to twenty seconds apart, by chance down to half of that
    assert len(system.logged("receive_failed")) == len(system.logged("receive_recovered")) == 1


def test_on_a_busy_queue_too_receives_that_fail_are_few(system: MemorySystem) -> None:
    """Many threads receive when they begin to fail, and one goes on trying."""
    begun: list[float] = []

    def before(name: str, _: Any) -> None:
        if name == "begin":
            begun.append(system.clock.monotonic())
            system.clock.sleep(0.2)

    system.database.before = before
    system.send(*(sign_up(f"user{n}") for n in range(3000)))
    system.worker(threads=16, writers=16, batch_size=10)
    system.clock.sleep(2)
    assert sum(moment > system.clock.monotonic() - 0.2 for moment in begun) >= 8  # so many are at work
    system.sqs.calls.clear()
    system.sqs.fail(RECEIVE, **FAULTS["unreachable"])

    system.clock.sleep(600)

    assert 600 / 20 <= system.sqs.calls.count(RECEIVE) <= 600 / 10 + 10 + 16
    assert len(system.logged("receive_failed")) == 1


def test_receives_that_failed_take_no_room(system: MemorySystem) -> None:
    broken = system.sqs.fail(RECEIVE, **FAULTS["throttled"])
    system.worker(max_in_flight=20)
    system.clock.sleep(600)
    broken.times = 0
    system.send(*(sign_up(f"user{n}") for n in range(30)))

    system.run_until_empty(within=60)

    assert len(system.database.users) == 30


def test_while_deletes_fail_they_are_few(system: MemorySystem) -> None:
    system.send(sign_up("ada"))
    system.sqs.fail(DELETE, **FAULTS["failing"])
    system.worker()

    system.clock.sleep(25)

    assert 5 <= system.sqs.calls.count(DELETE) <= 20


def test_deletes_that_fail_more_than_once_are_tried_again(system: MemorySystem) -> None:
    """As many as fill a call are deleted by who wrote them, and by a lane if that fails."""
    system.send(*(sign_up(f"user{n}") for n in range(10)))
    system.sqs.fail(DELETE, times=3, **FAULTS["failing"])
    system.worker()

    system.run_until_empty(within=10)

    assert system.sqs.calls.count(DELETE) == 4
    assert not system.logged("left_to_sqs")


def test_what_fails_of_several_deletes_is_deleted_all_the_same(system: MemorySystem) -> None:
    """A batch of thirty needs three calls, of which one entry each fails."""
    system.send(*(sign_up(f"user{n}") for n in range(30)))
    system.sqs.fail(DELETE, times=3, entries=lambda place: place == 3)
    system.worker(threads=1, batch_size=30)

    system.run_until_empty(within=5)

    assert system.sqs.calls.count(DELETE) == 4


class EverySecond(Fault):
    """Of the calls that it applies to."""

    calls = 0

    def applies(self, operation: str, url: str) -> bool:
        self.calls += super().applies(operation, url)
        return super().applies(operation, url) and self.calls % 2 == 0


def test_a_receive_that_fails_in_the_middle_of_a_batch_ends_only_the_batch(system: MemorySystem) -> None:
    system.send(*(sign_up(f"user{n}") for n in range(100)))
    system.sqs.faults.append(EverySecond(RECEIVE, before=UNREACHABLE))
    system.worker(threads=1)

    system.run_until_empty(within=60)

    assert len(system.database.users) == 100
    assert not system.logged("crashed")


def test_after_an_outage_one_failure_costs_no_more_than_before_it(system: MemorySystem) -> None:
    broken = system.sqs.fail(DELETE, **FAULTS["failing"])
    system.send(sign_up("ada"))
    system.worker()
    system.clock.sleep(25)
    broken.times = 0
    system.run_until_empty()

    system.sqs.fail(DELETE, times=1, **FAULTS["failing"])
    system.send(sign_up("grace"))

    system.run_until_empty(within=0.5)


def test_an_empty_queue_costs_one_call_a_long_poll(system: MemorySystem) -> None:
    system.worker(threads=16, receive_wait_seconds=20)

    system.clock.sleep(1000)

    assert 50 <= system.sqs.calls.count(RECEIVE) <= 51


def test_messages_that_trickle_share_their_deletes(system: MemorySystem) -> None:
    system.worker()
    for n in range(50):
        system.send(sign_up(f"user{n}"))
        system.clock.sleep(0.004)

    system.run_until_empty()

    assert len(system.database.users) == 50
    assert system.sqs.calls.count(DELETE) <= 50 / 4


def test_a_dead_letter_that_cannot_be_sent_is_kept(system: MemorySystem) -> None:
    broken = system.sqs.fail(SEND, before=refused("AccessDeniedException"), url=system.dead_letters_url)
    system.send("broken", sign_up("ada"))
    system.worker()
    system.clock.sleep(20)
    assert list(system.database.users) == ["ada"]
    [kept] = system.events.messages
    assert kept.body == "broken"
    broken.times = 0

    system.run_until_empty()

    assert [letter.body for letter in system.dead_letters] == ["broken"]


def test_one_that_is_to_blame_does_not_hold_up_the_others(system: MemorySystem) -> None:
    """SQS refuses a whole call for one of its entries: they are tried alone."""
    long = "x" * (1_048_576 - 100)
    system.send(long)
    system.send(*(f"broken {n}" for n in range(8)))
    system.worker()

    system.run_until_empty(within=20)

    assert len(system.dead_letters) == 9
    assert [len(letter.attributes) for letter in system.dead_letters if letter.body == long] == [0]


def test_a_call_that_is_refused_whole_for_one_entry_is_made_for_each(system: MemorySystem) -> None:
    system.send(*(activity("nobody") for _ in range(8)))
    system.sqs.fail(CHANGE, times=1, before=refused("ReceiptHandleIsInvalid"))
    system.worker()
    system.clock.run_until(lambda: len(system.logged("retried_later")) == 8)

    system.clock.sleep(4)

    assert [message.receive_count for message in system.events.messages] == [2] * 8


def test_an_answer_that_is_lost_sends_a_dead_letter_twice_and_not_never(system: MemorySystem) -> None:
    system.sqs.fail(SEND, times=1, after=lost())
    system.send("broken")
    system.worker()

    system.run_until_empty()

    assert [letter.body for letter in system.dead_letters] == ["broken"] * 2


def test_a_message_is_not_deleted_before_it_is_in_the_dead_letter_queue(system: MemorySystem) -> None:
    system.sqs.fail(SEND, times=1, delay=5.0)
    system.send("broken")
    system.worker()

    system.clock.sleep(4)
    assert [message.body for message in system.events.messages] == ["broken"]
    assert not system.dead_letters

    system.run_until_empty()
    assert [letter.body for letter in system.dead_letters] == ["broken"]


def test_what_sqs_does_not_take_as_a_dead_letter_is_moved_by_sqs_itself(system: MemorySystem) -> None:
    """Not even without its attributes. It is not deleted, nor held for ever."""
    fault = system.sqs.fail(SEND, entries=lambda _: True, code="InvalidMessageContents", url=system.dead_letters_url)
    system.send("broken")
    system.worker()

    system.run_until_empty()

    assert [(letter.body, letter.attributes) for letter in system.dead_letters] == [("broken", {})]
    assert len(system.logged("left_to_sqs")) == 5
    assert fault.times == float("inf")


def test_a_change_that_fails_in_part_is_tried_again(system: MemorySystem) -> None:
    """Were it given up, the message would come back with its lease's end, half a minute later."""
    system.sqs.fail(CHANGE, times=1, entries=lambda _: True)
    system.send(activity("nobody"))
    system.worker()
    system.clock.run_until(lambda: system.logged("retried_later"))

    system.clock.sleep(5)

    [message] = system.events.messages
    assert message.receive_count == 2
