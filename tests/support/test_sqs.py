from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from tests.support.sqs import Queues, SqsServer, create_queues, sqs_client


def receive(queues: Queues, visibility_timeout: int = 30, wait: int = 0) -> list[str]:
    answer = queues.client.receive_message(
        QueueUrl=queues.events_url,
        MaxNumberOfMessages=10,
        VisibilityTimeout=visibility_timeout,
        WaitTimeSeconds=wait,
    )
    return [message["Body"] for message in answer.get("Messages", [])]


def test_messages_are_sent_in_order_and_counted(queues: Queues) -> None:
    ids = queues.send(*(str(number) for number in range(25)))

    assert len(set(ids)) == 25
    assert queues.counts() == (25, 0, 0)
    assert receive(queues) == [str(number) for number in range(10)]
    assert queues.counts() == (15, 10, 0)


def test_each_pair_of_queues_is_its_own(sqs_server: SqsServer, queues: Queues) -> None:
    with closing(create_queues(sqs_server.endpoint_url)) as others:
        others.send("for others")

    assert queues.counts() == (0, 0, 0)


def test_dead_letters_are_read_and_left_there(queues: Queues) -> None:
    for number in range(12):
        queues.client.send_message(
            QueueUrl=queues.dlq_url,
            MessageBody=str(number),
            MessageAttributes={"failure_reason": {"DataType": "String", "StringValue": "invalid_event"}},
        )

    for reading in (1, 2):
        letters = queues.dead_letters()
        assert [letter.body for letter in letters] == [str(number) for number in range(12)]
        assert {letter.attributes["failure_reason"] for letter in letters} == {"invalid_event"}
        assert {letter.receive_count for letter in letters} == {reading}


def test_a_message_received_too_often_is_moved_by_sqs(sqs_server: SqsServer) -> None:
    with closing(create_queues(sqs_server.endpoint_url, max_receive_count=2)) as queues:
        (message_id,) = queues.send("poison")
        for _ in range(2):
            assert receive(queues, visibility_timeout=0) == ["poison"]
            assert queues.counts() == (1, 0, 0)
        assert queues.dead_letter_count() == 0  # it takes one more receive

        assert receive(queues) == []

        (letter,) = queues.dead_letters()
        assert (letter.message_id, letter.body, letter.attributes) == (message_id, "poison", {})
        assert letter.receive_count == 3


def test_a_long_poll_notices_a_message_that_is_given_back(queues: Queues) -> None:
    queues.send("returned")
    (message,) = queues.client.receive_message(QueueUrl=queues.events_url)["Messages"]
    with ThreadPoolExecutor() as executor:
        polling = executor.submit(receive, queues, wait=10)
        queues.client.change_message_visibility(
            QueueUrl=queues.events_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )
        assert polling.result() == ["returned"]


def test_a_queue_may_cut_its_long_polls_short(queues: Queues) -> None:
    impatient = Config(read_timeout=10, retries={"total_max_attempts": 1})
    with closing(sqs_client(queues.endpoint_url, impatient)) as client:
        assert "Messages" not in client.receive_message(QueueUrl=queues.dlq_url, WaitTimeSeconds=20)


def test_a_caller_who_hung_up_gets_no_messages(sqs_server: SqsServer, queues: Queues) -> None:
    impatient = Config(read_timeout=0.3, retries={"total_max_attempts": 1})
    with closing(sqs_client(sqs_server.endpoint_url, impatient)) as client, pytest.raises(ReadTimeoutError):
        client.receive_message(QueueUrl=queues.events_url, WaitTimeSeconds=10)

    queues.send("for somebody else")

    assert receive(queues, wait=1) == ["for somebody else"]


@pytest.mark.process
def test_a_server_can_be_started_again() -> None:
    server = SqsServer()
    for _ in range(2):
        with server, closing(create_queues(server.endpoint_url)) as queues:
            queues.send("hello")
            assert queues.counts() == (1, 0, 0)
    server.stop()
