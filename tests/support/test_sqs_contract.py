"""What the tests rely on SQS to do: the same of moto's, over HTTP, and of the one in memory, so they stay alike."""

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from signup_sync.sqs import MESSAGE_BYTES, Failure, Outgoing, SqsError
from tests.support.memory_sqs import MemorySqs
from tests.support.sqs import SqsServer, create_queues
from tests.support.virtual_clock import VirtualClock
from worker.aws.sqs import LEASE_LOST, NOT_TAKEN, Queue, Received, text_attribute

VISIBILITY_TIMEOUT = 20  # seconds
MAX_RECEIVE_COUNT = 3


@dataclass
class Sqs:
    """An SQS with a queue and its dead-letter queue, and how its time passes."""

    events: Queue
    dead_letters: Queue
    sleep: Callable[[float], None]
    run_beside: Callable[[Callable[[], None]], None] = field(repr=False)

    def receive(self, queue: Queue | None = None, *, wait: int = 0, visibility: int = VISIBILITY_TIMEOUT) -> Any:
        return (queue or self.events).receive(wait_seconds=wait, visibility_timeout=visibility)

    def send(self, *bodies: str) -> None:
        assert self.events.send([Outgoing(body) for body in bodies]) == []


@pytest.fixture(params=["memory", pytest.param("moto", marks=pytest.mark.server)])
def sqs(request: pytest.FixtureRequest) -> Iterator[Sqs]:
    yield from _in_memory() if request.param == "memory" else _over_http(request.getfixturevalue("sqs_server"))


def _in_memory() -> Iterator[Sqs]:
    with VirtualClock() as clock:
        memory = MemorySqs(clock)
        urls = memory.create(visibility_timeout=VISIBILITY_TIMEOUT, max_receive_count=MAX_RECEIVE_COUNT)
        events, dead_letters = (Queue(url, memory.client) for url in urls)

        def run_beside(call: Callable[[], None]) -> None:
            clock.thread("beside", partial(_soon, clock.sleep, call))

        yield Sqs(events, dead_letters, clock.sleep, run_beside)


def _over_http(server: SqsServer) -> Iterator[Sqs]:
    with (
        closing(
            create_queues(
                server.endpoint_url, visibility_timeout=VISIBILITY_TIMEOUT, max_receive_count=MAX_RECEIVE_COUNT
            )
        ) as queues,
        ThreadPoolExecutor() as executor,
    ):

        def run_beside(call: Callable[[], None]) -> None:
            executor.submit(_soon, time.sleep, call)

        events, dead_letters = Queue(queues.events_url, queues.client), Queue(queues.dlq_url, queues.client)
        yield Sqs(events, dead_letters, time.sleep, run_beside)


def _soon(sleep: Callable[[float], None], call: Callable[[], None]) -> None:
    sleep(0.3)
    call()


def bodies(messages: list[Received]) -> list[str]:
    return sorted(message.body for message in messages)


def test_a_queue_says_what_it_is(sqs: Sqs) -> None:
    sqs.send("1", "2", "3")
    sqs.events.receive(wait_seconds=0, visibility_timeout=20, most=1)

    about = sqs.events.describe()

    assert about.visibility_timeout == VISIBILITY_TIMEOUT
    assert about.max_receive_count == MAX_RECEIVE_COUNT
    assert about.dead_letter_arn == sqs.dead_letters.describe().arn
    assert about.arn.startswith("arn:aws:sqs:")
    assert (about.visible, about.in_flight) == (2, 1)
    assert sqs.dead_letters.describe().max_receive_count is None


def test_what_is_sent_is_received_as_it_was(sqs: Sqs) -> None:
    attributes = {"reason": text_attribute("Łukasz")}
    assert sqs.events.send([Outgoing("{}", attributes), Outgoing("Ada Łukasz")]) == []

    messages = sqs.receive()

    assert bodies(messages) == ["Ada Łukasz", "{}"]
    assert {message.receive_count for message in messages} == {1}
    with_attributes = next(message for message in messages if message.body == "{}")
    assert with_attributes.attributes["reason"]["StringValue"] == "Łukasz"
    assert with_attributes.attributes["reason"]["DataType"] == "String"


def test_a_receive_brings_no_more_than_ten(sqs: Sqs) -> None:
    sqs.send(*map(str, range(10)))
    sqs.send("10", "11")

    assert len(sqs.receive()) == 10
    assert len(sqs.receive()) == 2
    assert sqs.receive() == []


def test_a_message_in_flight_is_out_of_sight_until_its_visibility_timeout_is_over(sqs: Sqs) -> None:
    sqs.send("1")
    [first] = sqs.receive(visibility=1)
    assert sqs.receive() == []

    sqs.sleep(1.1)

    [second] = sqs.receive()
    assert second.message_id == first.message_id
    assert second.receive_count == 2
    assert second.receipt_handle != first.receipt_handle


def test_what_is_sent_with_a_delay_is_received_after_it_and_is_not_in_flight_meanwhile(sqs: Sqs) -> None:
    assert sqs.events.send([Outgoing("later", delay_seconds=2), Outgoing("now")]) == []

    assert bodies(sqs.receive()) == ["now"]
    assert (sqs.events.describe().visible, sqs.events.describe().in_flight) == (0, 1)
    sqs.sleep(2.1)
    [message] = sqs.receive()
    assert (message.body, message.receive_count) == ("later", 1)


def test_a_long_poll_ends_when_a_message_comes(sqs: Sqs) -> None:
    sqs.run_beside(lambda: sqs.send("1"))

    assert bodies(sqs.receive(wait=20)) == ["1"]


def test_a_long_poll_ends_when_a_message_becomes_visible(sqs: Sqs) -> None:
    sqs.send("1")
    sqs.receive(visibility=1)

    assert bodies(sqs.receive(wait=20)) == ["1"]


def test_a_long_poll_of_an_empty_queue_ends(sqs: Sqs) -> None:
    assert sqs.receive(wait=1) == []


def test_what_is_deleted_is_gone_and_deleting_it_again_is_no_error(sqs: Sqs) -> None:
    sqs.send("1", "2")
    first, second = sqs.receive(visibility=1)

    assert sqs.events.delete([first.receipt_handle]) == []
    assert sqs.events.delete([first.receipt_handle, second.receipt_handle]) == []

    sqs.sleep(1.1)
    assert sqs.receive() == []
    about = sqs.events.describe()
    assert (about.visible, about.in_flight) == (0, 0)


def test_a_visibility_timeout_can_be_ended_and_made_longer(sqs: Sqs) -> None:
    sqs.send("1", "2")
    first, second = sqs.receive(visibility=1)

    assert sqs.events.change_visibility([(first.receipt_handle, 0), (second.receipt_handle, 20)]) == []

    assert bodies(sqs.receive()) == [first.body]
    sqs.sleep(1.1)
    assert sqs.receive() == []


def test_a_handle_that_never_was_one_fails_alone(sqs: Sqs) -> None:
    sqs.send("1")
    [message] = sqs.receive()

    [failure] = sqs.events.delete([message.receipt_handle, "nonsense"])
    assert failure.index == 1
    assert failure.code in LEASE_LOST | NOT_TAKEN
    [failure] = sqs.events.change_visibility([("nonsense", 0)])
    assert failure.code in LEASE_LOST | NOT_TAKEN


def test_the_lease_of_what_is_deleted_cannot_be_extended(sqs: Sqs) -> None:
    sqs.send("1")
    [message] = sqs.receive()
    sqs.events.delete([message.receipt_handle])

    [failure] = sqs.events.change_visibility([(message.receipt_handle, 20)])

    assert failure.code in LEASE_LOST | NOT_TAKEN


def test_a_message_received_too_often_is_in_the_dead_letter_queue_as_it_was(sqs: Sqs) -> None:
    sqs.events.send([Outgoing("poison", {"reason": text_attribute("a")})])
    ids = set()
    for _ in range(MAX_RECEIVE_COUNT):
        [message] = sqs.receive()
        ids.add(message.message_id)
        sqs.events.change_visibility([(message.receipt_handle, 0)])

    assert sqs.receive() == []

    [letter] = sqs.receive(sqs.dead_letters)
    assert (letter.body, {letter.message_id}) == ("poison", ids)
    assert letter.attributes["reason"]["StringValue"] == "a"
    assert letter.receive_count == MAX_RECEIVE_COUNT + 1


def test_what_is_sent_together_may_not_be_too_large(sqs: Sqs) -> None:
    with pytest.raises(SqsError) as raised:
        sqs.events.send([Outgoing("x" * (MESSAGE_BYTES // 2 + 1))] * 2)

    assert raised.value.code.rpartition(".")[2] == "BatchRequestTooLong"
    assert sqs.receive() == []


@pytest.mark.parametrize("entries", [0, 11])
def test_a_call_takes_one_to_ten_entries(sqs: Sqs, entries: int) -> None:
    with pytest.raises(SqsError) as raised:
        sqs.events.send([Outgoing("x")] * entries)

    assert raised.value.code.rpartition(".")[2] in {"EmptyBatchRequest", "TooManyEntriesInBatchRequest"}


def test_a_queue_that_is_not_there_says_so(sqs: Sqs) -> None:
    missing = Queue(f"{sqs.events.url}-{uuid.uuid4()}", sqs.events._client)  # noqa: SLF001

    with pytest.raises(SqsError) as raised:
        missing.describe()

    assert raised.value.code.rpartition(".")[2] in {"NonExistentQueue", "QueueDoesNotExist"}


class TestInMemoryAlone:
    """What SQS may do, and moto does not."""

    def test_a_lease_that_somebody_else_has_by_now_cannot_be_used(self) -> None:
        with VirtualClock() as clock:
            memory = MemorySqs(clock)
            url, _ = memory.create()
            queue = Queue(url, memory.client)
            queue.send([Outgoing("1")])
            [old] = queue.receive(wait_seconds=0, visibility_timeout=1)
            clock.sleep(1)
            [new] = queue.receive(wait_seconds=0, visibility_timeout=20)

            expired = Failure(0, "InvalidParameterValue", True, "The receipt handle has expired.")
            assert queue.delete([old.receipt_handle]) == [expired]
            assert queue.change_visibility([(old.receipt_handle, 20)]) == [expired]
            assert queue.delete([new.receipt_handle]) == []

    def test_a_message_may_come_twice(self) -> None:
        with VirtualClock() as clock:
            memory = MemorySqs(clock)
            memory.duplicated = 1.0
            url, _ = memory.create()
            queue = Queue(url, memory.client)
            queue.send([Outgoing("1"), Outgoing("2")])
            first = queue.receive(wait_seconds=0, visibility_timeout=30, most=1)
            second = queue.receive(wait_seconds=0, visibility_timeout=30)

            assert first[0].message_id in {message.message_id for message in second}
            assert len(second) == 2

    def test_a_call_can_fail_before_it_has_an_effect_and_after(self) -> None:
        with VirtualClock() as clock:
            memory = MemorySqs(clock)
            url, _ = memory.create()
            queue = Queue(url, memory.client)
            error = ClientError({"Error": {"Code": "InternalFailure"}}, "SendMessageBatch")
            memory.fail("send_message_batch", times=1, before=error)
            memory.fail("send_message_batch", times=1, after=error)

            for held in (0, 1):
                with pytest.raises(SqsError, match="InternalFailure"):
                    queue.send([Outgoing("1")])
                assert queue.describe().visible == held
            memory.fail("send_message_batch", times=1, entries=lambda place: place == 1)
            assert [failure.index for failure in queue.send([Outgoing("2"), Outgoing("3")])] == [1]
            assert queue.describe().visible == 2
