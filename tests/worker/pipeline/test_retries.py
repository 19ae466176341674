"""What has to wait (for its author, its parent, or somebody's lock) comes back by itself, and as soon as it can."""

import uuid

import pytest

from tests.support.events import activity, sign_up
from tests.support.memory_sqs import UNREACHABLE
from tests.support.memory_system import MemorySystem, memory_system
from worker.pipeline.retry_delay import SPAN

POST, REPLY, ANSWER = (uuid.UUID(int=n) for n in (1, 2, 3))


def delays(system: MemorySystem) -> list[int]:
    """Seconds for which messages were put off, in order."""
    return [line["seconds"] for line in system.logged("retried_later")]


@pytest.mark.parametrize("max_receive_count", [2, 3, 5, 12])
def test_who_never_signs_up_is_waited_for_a_quarter_of_an_hour(max_receive_count: int) -> None:
    with memory_system(max_receive_count=max_receive_count) as system:
        system.send(activity("nobody", id=str(POST)))
        system.worker()

        system.run_until_empty()

        assert system.reasons() == ["unknown_author"]
        assert len(delays(system)) == max_receive_count - 1
        assert SPAN - max_receive_count <= system.clock.passed <= 2 * SPAN


def test_a_parent_that_never_comes_is_named(system: MemorySystem) -> None:
    system.send(sign_up("ada"), activity("ada", id=str(REPLY), reply_to=str(POST)))
    system.worker()

    system.run_until_empty()

    assert system.reasons() == ["unknown_parent"]
    assert {line["reason"] for line in system.logged("retried_later")} == {"unknown_parent"}
    [letter] = system.dead_letters
    assert letter.attributes["receive_count"]["StringValue"] == "5"


@pytest.mark.queues(max_receive_count=1)
@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (activity("nobody", id=str(POST)), "unknown_author"),
        (activity("ada", id=str(REPLY), reply_to=str(POST)), "unknown_parent"),
    ],
)
def test_the_last_attempt_is_dead_at_once(system: MemorySystem, event: str, reason: str) -> None:
    system.send(sign_up("ada"), event)
    system.worker()

    system.run_until_empty(within=10)

    assert system.reasons() == [reason]
    assert not delays(system)


def test_the_smaller_of_both_counts_of_attempts_counts(system: MemorySystem) -> None:
    system.send(activity("nobody", id=str(POST)))
    system.worker(max_attempts=2)

    system.run_until_empty()

    [letter] = system.dead_letters
    assert letter.attributes["receive_count"]["StringValue"] == "2"


def test_an_activity_is_written_as_soon_as_its_author_is(system: MemorySystem) -> None:
    system.worker()
    system.send(activity("ada", id=str(POST)))
    system.clock.run_until(lambda: len(delays(system)) == 4)
    assert delays(system)[-1] > 60

    system.send(sign_up("ada"))

    system.run_until_empty(within=10)
    assert list(system.database.activities) == [POST]
    assert not system.dead_letters


def test_a_chain_of_replies_is_written_as_soon_as_its_beginning_is(system: MemorySystem) -> None:
    system.worker()
    system.send(
        sign_up("ada"),
        activity("ada", id=str(ANSWER), reply_to=str(REPLY)),
        activity("ada", id=str(REPLY), reply_to=str(POST)),
    )
    system.clock.run_until(lambda: len(delays(system)) == 8)

    system.send(activity("ada", id=str(POST)))

    system.run_until_empty(within=15)
    counts = {key: row["replies_count"] for key, row in system.database.activities.items()}
    assert counts == {POST: 1, REPLY: 1, ANSWER: 0}


def test_what_another_worker_writes_is_found_when_its_time_comes(system: MemorySystem) -> None:
    """Nobody wakes the activity then: it comes back by itself."""
    first = system.worker()
    system.send(activity("ada", id=str(POST)))
    system.clock.run_until(lambda: len(delays(system)) == 2)
    first.stop()
    system.send(sign_up("ada"))
    system.worker()

    system.run_until_empty()

    assert list(system.database.activities) == [POST]
    assert len(delays(system)) <= 3


def test_who_is_woken_is_woken_once(system: MemorySystem) -> None:
    system.worker()
    system.send(activity("ada", id=str(POST)))
    system.clock.run_until(lambda: len(delays(system)) == 4)
    system.sqs.calls.clear()

    system.send(sign_up("ada"))
    system.run_until_empty()
    system.send(sign_up("ada"))
    system.run_until_empty()

    assert system.sqs.calls.count("change_message_visibility_batch") == 1


def test_what_is_put_off_is_received_by_nobody_meanwhile(system: MemorySystem) -> None:
    system.worker()
    system.worker()
    system.send(activity("nobody", id=str(POST)))

    system.clock.run_until(lambda: delays(system))
    seconds = delays(system)[0]
    system.clock.sleep(0.5)

    [message] = system.events.messages
    assert message.receive_count == 1
    assert message.visible_at - system.clock.monotonic() == pytest.approx(seconds - 0.5, abs=0.2)


def test_putting_off_is_tried_again_while_sqs_fails(system: MemorySystem) -> None:
    """Were it given up, the message would come back with its lease's end, every thirty seconds."""
    system.sqs.fail("change_message_visibility_batch", times=6, before=UNREACHABLE)
    system.worker()
    system.send(activity("nobody", id=str(POST)))
    system.clock.run_until(lambda: delays(system))

    system.clock.sleep(12)

    [failed], [recovered] = system.logged("acknowledge_failed"), system.logged("acknowledge_recovered")
    assert failed["call"] == recovered["call"] == "visibility"
