import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from mypy_boto3_sqs.client import SQSClient

from tests.support.fault_proxy import ANY, FaultProxy
from tests.support.sqs import Queues, sqs_client

ONE_ATTEMPT = Config(retries={"total_max_attempts": 1}, read_timeout=20)


@pytest.fixture
def proxy(queues: Queues) -> Iterator[FaultProxy]:
    with FaultProxy(queues.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[SQSClient]:
    with closing(sqs_client(proxy.endpoint_url, ONE_ATTEMPT)) as client:
        yield client


def send(client: SQSClient, queues: Queues, body: str = "hello") -> None:
    client.send_message(QueueUrl=queues.events_url, MessageBody=body)


def test_requests_pass_through_whatever_host_the_queue_url_names(
    proxy: FaultProxy, client: SQSClient, queues: Queues
) -> None:
    assert queues.events_url.startswith(queues.endpoint_url)

    send(client, queues, "grüße")
    (message,) = client.receive_message(QueueUrl=queues.events_url)["Messages"]
    client.delete_message(QueueUrl=queues.events_url, ReceiptHandle=message["ReceiptHandle"])

    assert message["Body"] == "grüße"
    assert queues.counts() == (0, 0, 0)
    assert proxy.calls == {"SendMessage": 1, "ReceiveMessage": 1, "DeleteMessage": 1}


def test_the_log_tells_when_each_request_came(proxy: FaultProxy, client: SQSClient, queues: Queues) -> None:
    send(client, queues)
    time.sleep(0.1)
    send(client, queues)

    first, second = proxy.log
    assert first.action == second.action == "SendMessage"
    assert second.at - first.at >= 0.1


@pytest.mark.parametrize(
    ("status", "code", "query_code", "reported"),
    [
        (500, "InternalFailure", None, "InternalFailure"),
        (503, "ServiceUnavailable", None, "ServiceUnavailable"),
        (400, "ThrottlingException", None, "ThrottlingException"),
        (403, "ExpiredTokenException", None, "ExpiredTokenException"),
        (
            400,
            "QueueDoesNotExist",
            "AWS.SimpleQueueService.NonExistentQueue",
            "AWS.SimpleQueueService.NonExistentQueue",
        ),
    ],
)
def test_an_error_comes_as_often_as_it_was_told(
    proxy: FaultProxy,
    client: SQSClient,
    queues: Queues,
    status: int,
    code: str,
    query_code: str | None,
    reported: str,
) -> None:
    proxy.fail("SendMessage", status=status, code=code, query_code=query_code, times=2)

    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            send(client, queues)
        assert caught.value.response["Error"]["Code"] == reported
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    send(client, queues)

    assert queues.counts() == (1, 0, 0)


def test_an_error_comes_after_as_many_as_it_was_told(proxy: FaultProxy, client: SQSClient, queues: Queues) -> None:
    proxy.fail("SendMessage", after=2, times=1)

    send(client, queues)
    send(client, queues)
    with pytest.raises(ClientError):
        send(client, queues)
    send(client, queues)

    assert queues.counts()[0] == 3


def test_an_error_for_any_action_lasts_until_it_is_cleared(
    proxy: FaultProxy, client: SQSClient, queues: Queues
) -> None:
    proxy.fail(ANY)
    for _ in range(3):
        with pytest.raises(ClientError):
            client.receive_message(QueueUrl=queues.events_url)

    proxy.clear()

    send(client, queues)


def test_clearing_one_action_leaves_the_others(proxy: FaultProxy, client: SQSClient, queues: Queues) -> None:
    proxy.fail("SendMessage")
    proxy.fail("ReceiveMessage")

    proxy.clear("SendMessage")

    send(client, queues)
    with pytest.raises(ClientError):
        client.receive_message(QueueUrl=queues.events_url)


def test_faults_by_probability_are_the_same_each_time(queues: Queues) -> None:
    def outcomes() -> list[bool]:
        with FaultProxy(queues.endpoint_url, seed=7) as proxy:
            proxy.fail("SendMessage", probability=0.5)
            with closing(sqs_client(proxy.endpoint_url, ONE_ATTEMPT)) as client:
                return [succeeds(client, queues) for _ in range(20)]

    first = outcomes()
    assert {True, False} == set(first)
    assert outcomes() == first


def succeeds(client: SQSClient, queues: Queues) -> bool:
    try:
        send(client, queues)
    except ClientError:
        return False
    return True


def test_a_dropped_request_has_no_effect(proxy: FaultProxy, client: SQSClient, queues: Queues) -> None:
    proxy.drop_request("SendMessage", times=1)

    with pytest.raises(ConnectionClosedError):
        send(client, queues)

    assert queues.counts() == (0, 0, 0)


def test_a_dropped_response_belongs_to_a_request_that_had_its_effect(
    proxy: FaultProxy, client: SQSClient, queues: Queues
) -> None:
    proxy.drop_response("SendMessage", times=1)

    with pytest.raises(ConnectionClosedError):
        send(client, queues)

    assert queues.counts() == (1, 0, 0)


def test_a_cut_response_is_half_an_answer_to_a_request_that_had_its_effect(
    proxy: FaultProxy, client: SQSClient, queues: Queues
) -> None:
    proxy.cut_response("SendMessage", times=1)

    # botocore takes half an answer for an empty one.
    assert "MessageId" not in client.send_message(QueueUrl=queues.events_url, MessageBody="hello")

    assert queues.counts() == (1, 0, 0)


def test_a_delay_comes_before_the_answer(proxy: FaultProxy, client: SQSClient, queues: Queues) -> None:
    proxy.delay("SendMessage", 0.3, times=1)
    proxy.fail("SendMessage", times=1)
    started = time.monotonic()

    with pytest.raises(ClientError):
        send(client, queues)

    assert time.monotonic() - started >= 0.3


def test_a_request_hangs_until_the_client_gives_up(proxy: FaultProxy, queues: Queues) -> None:
    proxy.hang("SendMessage")
    impatient = Config(retries={"total_max_attempts": 1}, read_timeout=0.3)

    with closing(sqs_client(proxy.endpoint_url, impatient)) as client, pytest.raises(ReadTimeoutError):
        send(client, queues)

    assert queues.counts() == (0, 0, 0)


def test_a_request_hangs_until_the_fault_is_cleared(proxy: FaultProxy, client: SQSClient, queues: Queues) -> None:
    proxy.hang("SendMessage")
    with ThreadPoolExecutor() as executor:
        sending = executor.submit(send, client, queues)
        time.sleep(0.2)
        assert not sending.done()
        proxy.clear()
        assert isinstance(sending.exception(), ConnectionClosedError)

    assert queues.counts() == (0, 0, 0)


def test_some_messages_of_a_batch_are_not_sent(proxy: FaultProxy, client: SQSClient, queues: Queues) -> None:
    proxy.fail_entries("SendMessageBatch", 0.5, code="InternalError", times=1)

    answer = client.send_message_batch(
        QueueUrl=queues.events_url, Entries=[{"Id": f"m{number}", "MessageBody": str(number)} for number in range(10)]
    )

    assert len(answer["Successful"]) == len(answer["Failed"]) == 5
    assert {entry["Id"] for entry in [*answer["Successful"], *answer["Failed"]]} == {f"m{n}" for n in range(10)}
    assert {(entry["Code"], entry["SenderFault"]) for entry in answer["Failed"]} == {("InternalError", False)}
    assert queues.counts() == (5, 0, 0)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_some_messages_of_a_batch_are_not_deleted(
    proxy: FaultProxy, client: SQSClient, queues: Queues, share: float
) -> None:
    queues.send(*"abcdefghij")
    messages = client.receive_message(QueueUrl=queues.events_url, MaxNumberOfMessages=10)["Messages"]
    proxy.fail_entries("DeleteMessageBatch", share, code="ReceiptHandleIsInvalid", sender_fault=True)

    answer = client.delete_message_batch(
        QueueUrl=queues.events_url,
        Entries=[{"Id": message["Body"], "ReceiptHandle": message["ReceiptHandle"]} for message in messages],
    )

    assert len(answer["Failed"]) == 10 * share
    assert {(entry["Code"], entry["SenderFault"]) for entry in answer["Failed"]} == {("ReceiptHandleIsInvalid", True)}
    assert queues.counts() == (0, 10 * share, 0)


def test_a_proxy_that_is_down_refuses_connections_until_it_is_up(
    proxy: FaultProxy, client: SQSClient, queues: Queues
) -> None:
    for _ in range(3):
        send(client, queues)
        proxy.down()
        with pytest.raises((EndpointConnectionError, ConnectionClosedError)):
            send(client, queues)
        with pytest.raises(EndpointConnectionError):
            send(client, queues)
        proxy.up()

    send(client, queues)
    assert queues.counts() == (4, 0, 0)


def test_going_down_ends_a_long_poll_and_takes_no_message(proxy: FaultProxy, client: SQSClient, queues: Queues) -> None:
    with ThreadPoolExecutor() as executor:
        polling = executor.submit(client.receive_message, QueueUrl=queues.events_url, WaitTimeSeconds=15)
        time.sleep(0.3)
        proxy.down()
        assert isinstance(polling.exception(), ConnectionClosedError)
    time.sleep(0.2)

    queues.send("for somebody else")
    time.sleep(0.2)

    assert queues.counts() == (1, 0, 0)
