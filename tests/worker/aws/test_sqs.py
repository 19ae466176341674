import os
import re
from contextlib import closing
from itertools import pairwise
from unittest.mock import patch

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signup_sync.sqs import BATCH_ENTRIES, MESSAGE_BYTES, Failure, Outgoing, SqsError, in_batches
from tests.support.fault_proxy import FaultProxy
from tests.support.ports import free_port
from tests.support.sqs import Queues, SqsServer, aws_environment, create_queues, sqs_client
from worker.aws.sqs import Queue, connect, text_attribute


@pytest.fixture
def queue(queues: Queues) -> Queue:
    return Queue(queues.events_url, queues.client)


def bodies(queue: Queue, visibility_timeout: int = 30) -> list[str]:
    return [message.body for message in queue.receive(wait_seconds=0, visibility_timeout=visibility_timeout)]


def test_a_message_is_received_as_it_was_sent(queue: Queue) -> None:
    attributes = {"failure_reason": text_attribute("invalid_event")}

    assert queue.send([Outgoing("grüße 🦊", attributes), Outgoing("plain")]) == []

    first, second = queue.receive(wait_seconds=0, visibility_timeout=30)
    assert (first.body, first.receive_count, second.body, second.attributes) == ("grüße 🦊", 1, "plain", {})
    assert first.attributes["failure_reason"]["StringValue"] == "invalid_event"


def test_a_message_that_is_given_back_is_received_again_and_counted(queue: Queue) -> None:
    queue.send([Outgoing("again")])
    (first,) = queue.receive(wait_seconds=0, visibility_timeout=30)
    assert bodies(queue) == []

    assert queue.change_visibility([(first.receipt_handle, 0)]) == []

    (second,) = queue.receive(wait_seconds=1, visibility_timeout=30)
    assert (second.message_id, second.receive_count) == (first.message_id, 2)


def test_a_message_that_is_deleted_does_not_come_back(queue: Queue, queues: Queues) -> None:
    queue.send([Outgoing(str(number)) for number in range(3)])
    messages = queue.receive(wait_seconds=0, visibility_timeout=30)

    assert queue.delete([message.receipt_handle for message in messages]) == []

    assert queues.counts() == (0, 0, 0)


def test_what_failed_of_a_batch_is_named_by_its_place(queue: Queue, queues: Queues) -> None:
    queue.send([Outgoing(str(number)) for number in range(4)])
    handles = [message.receipt_handle for message in queue.receive(wait_seconds=0, visibility_timeout=30)]
    with FaultProxy(queues.endpoint_url) as proxy, closing(sqs_client(proxy.endpoint_url)) as client:
        proxy.fail_entries("DeleteMessageBatch", 0.5, code="ReceiptHandleIsInvalid", sender_fault=True, times=1)
        failures = Queue(queues.events_url, client).delete(handles)

    assert len(failures) == 2
    assert {(failure.code, failure.sender_fault) for failure in failures} == {("ReceiptHandleIsInvalid", True)}
    assert queue.delete([handles[failure.index] for failure in failures]) == []
    assert queues.counts() == (0, 0, 0)


def test_a_queue_says_what_the_worker_has_to_know(sqs_server: SqsServer) -> None:
    with closing(create_queues(sqs_server.endpoint_url, visibility_timeout=77, max_receive_count=4)) as queues:
        events = Queue(queues.events_url, queues.client).describe()
        dead_letters = Queue(queues.dlq_url, queues.client).describe()

    assert (events.visibility_timeout, events.max_receive_count) == (77, 4)
    assert events.dead_letter_arn == dead_letters.arn
    assert events.arn.endswith(queues.events_url.rpartition("/")[2])
    assert (dead_letters.max_receive_count, dead_letters.dead_letter_arn) == (None, None)


def test_a_call_that_fails_whole_says_which_and_why(queues: Queues) -> None:
    with FaultProxy(queues.endpoint_url) as proxy, closing(sqs_client(proxy.endpoint_url)) as client:
        proxy.fail("SendMessageBatch", status=400, code="InvalidParameterValue", message="not like that\nat all")
        with pytest.raises(SqsError) as caught:
            Queue(queues.events_url, client).send([Outgoing("hello")])

    assert (caught.value.operation, caught.value.code) == ("send_message_batch", "InvalidParameterValue")
    assert str(caught.value) == "send_message_batch: InvalidParameterValue: not like that"


def test_a_queue_that_does_not_exist_is_said_not_to(queues: Queues) -> None:
    with pytest.raises(SqsError, match="does not exist") as caught:
        Queue(queues.events_url + "-gone", queues.client).describe()

    assert "NonExistentQueue" in caught.value.code
    assert "\n" not in str(caught.value)


def size_of(messages: list[Outgoing], batch: list[int]) -> int:
    return sum(messages[index].size for index in batch)


@given(st.lists(st.sampled_from([1, 1000, 300_000, 600_000, MESSAGE_BYTES, MESSAGE_BYTES + 1]), max_size=30))
def test_batches_are_as_large_as_sqs_takes_and_no_larger(sizes: list[int]) -> None:
    messages = [Outgoing("x" * size) for size in sizes]

    batches = list(in_batches(messages))

    assert [index for batch in batches for index in batch] == list(range(len(messages)))
    for batch in batches:
        assert 1 <= len(batch) <= BATCH_ENTRIES
        assert len(batch) == 1 or size_of(messages, batch) <= MESSAGE_BYTES
    for batch, following in pairwise(batches):  # no batch could have taken one more
        assert len(batch) == BATCH_ENTRIES or size_of(messages, [*batch, following[0]]) > MESSAGE_BYTES


def test_nothing_makes_no_batches() -> None:
    assert list(in_batches([])) == []


def test_a_message_s_size_is_in_bytes_and_includes_its_attributes() -> None:
    attributes = {"naïve": text_attribute("ü"), "raw": {"DataType": "Binary", "BinaryValue": b"123"}}

    assert Outgoing("🦊").size == 4
    assert Outgoing("🦊", attributes).size == 4 + (6 + len("String") + 2) + (3 + len("Binary") + 3)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("plain ü 🦊\ttab\nline", "plain ü 🦊\ttab\nline"),
        ("a\x00b\x1bc", "a\ufffdb\ufffdc"),
        ("lone \ud800", "lone \ufffd"),
        ("\ufffe\uffff", "\ufffd\ufffd"),
        ("", "-"),
    ],
)
def test_an_attribute_is_text_that_sqs_takes(text: str, sent: str) -> None:
    assert text_attribute(text) == {"DataType": "String", "StringValue": sent}


@given(st.text(st.characters(exclude_categories=())))
def test_whatever_the_text_its_attribute_is_not_empty_and_of_the_characters_of_xml(text: str) -> None:
    value = text_attribute(text)["StringValue"]

    assert re.fullmatch("[\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+", value)


def test_sqs_takes_a_cleaned_attribute(queue: Queue) -> None:
    assert queue.send([Outgoing("body", {"detail": text_attribute("\x00 \ud800 \uffff")})]) == []

    (message,) = queue.receive(wait_seconds=0, visibility_timeout=30)
    assert message.attributes["detail"]["StringValue"] == "\ufffd \ufffd \ufffd"


def test_an_answer_without_failures_has_none(queue: Queue) -> None:
    queue.send([Outgoing("hello")])
    failures: list[Failure] = queue.change_visibility(
        [(message.receipt_handle, 5) for message in queue.receive(wait_seconds=0, visibility_timeout=30)]
    )

    assert failures == []


# What a person reads who has just set it up.


def describe_with(environment: dict[str, str], queue_url: str) -> list[str]:
    """The queue's ARN; or the code of an error, and its text."""
    # boto3 keeps what it has found in its session.
    with patch.dict(os.environ, environment, clear=True), patch.object(boto3, "DEFAULT_SESSION", None):
        try:
            with closing(connect(attempts=1)) as client:
                return [Queue(queue_url, client).describe().arn]
        except SqsError as error:
            return [error.code, str(error)]


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return aws_environment(f"http://127.0.0.1:{free_port()}")


def without(environment: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in names}


QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/events"


def test_a_missing_region_is_named_with_what_to_do(environment: dict[str, str]) -> None:
    code, text = describe_with(without(environment, "AWS_REGION", "AWS_DEFAULT_REGION"), QUEUE_URL)

    assert (code, text) == ("NoRegionError", "connect: no region: set AWS_REGION")


def test_missing_credentials_are_named_with_what_to_do(environment: dict[str, str]) -> None:
    code, text = describe_with(without(environment, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), QUEUE_URL)

    assert code == "NoCredentialsError"
    assert text == "get_queue_attributes: no AWS credentials: set AWS_PROFILE, or run with a role"


def test_an_endpoint_that_is_dead_is_named_with_what_to_check(environment: dict[str, str]) -> None:
    code, text = describe_with(environment, QUEUE_URL)

    assert code == "EndpointConnectionError"
    assert environment["AWS_ENDPOINT_URL_SQS"] in text
    assert text.endswith("is the endpoint right (AWS_REGION, AWS_ENDPOINT_URL_SQS)?")


def test_an_endpoint_that_is_not_a_url_is_named(environment: dict[str, str]) -> None:
    code, text = describe_with({**environment, "AWS_ENDPOINT_URL_SQS": "localhost"}, QUEUE_URL)

    assert code == "ValueError"
    assert text == "connect: Invalid endpoint: localhost"


def test_the_standard_settings_are_enough(queues: Queues) -> None:
    (arn,) = describe_with(aws_environment(queues.endpoint_url), queues.events_url)

    assert arn.endswith(queues.events_url.rpartition("/")[2])
