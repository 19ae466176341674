import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from botocore.stub import ANY, Stubber

from signup_sync.events import EVENT_TYPES, Event, parse_event
from signup_sync.publisher import (
    ActivityCreated,
    InvalidEvent,
    NotPublished,
    Publisher,
    UserDeleted,
    UserSignedUp,
    UserUpdated,
)
from tests.support.command import command_environment, run, start
from tests.support.fault_proxy import FaultProxy
from tests.support.invoke import invoke, invoke_on_terminal
from tests.support.ports import free_port
from tests.support.sqs import Queues, SqsServer, aws_environment, sqs_client
from tests.support.wait import wait_until

# What the environment of a backend has, and no more; that the parts of the worker are missing there is played.
ONLY_THE_PUBLISHER = """
import sys
from signup_sync.publisher import ActivityCreated, Publisher
Publisher(sys.argv[1]).publish(ActivityCreated.new(author="ada", message="hello", source="/backend"))
print(*sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)))
"""


@pytest.fixture
def proxy(sqs_server: SqsServer) -> Iterator[FaultProxy]:
    with FaultProxy(sqs_server.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def publisher(queues: Queues, proxy: FaultProxy) -> Iterator[Publisher]:
    with closing(sqs_client(proxy.endpoint_url)) as client, Publisher(queues.events_url, client=client) as publisher:
        yield publisher


def activity(message: str = "hello") -> ActivityCreated:
    return ActivityCreated.new(author="ada", message=message, source="/backend")


def sign_up(email_length: int = 20) -> UserSignedUp:
    email = "a@example.org".rjust(email_length, "a")
    return UserSignedUp.new(
        cognito_user_id="ada", handle="ada", display_name="Ada", email=email, source="/cognito/pool"
    )


def bodies(queues: Queues) -> list[str]:
    received: list[str] = []
    while messages := queues.client.receive_message(QueueUrl=queues.events_url, MaxNumberOfMessages=10).get("Messages"):
        received += [message["Body"] for message in messages]
    return received


def events(queues: Queues) -> list[Event]:
    return [parse_event(body) for body in bodies(queues)]


def environment(queues: Queues, **settings: str) -> dict[str, str]:
    return command_environment({"QUEUE_URL": queues.events_url, **aws_environment(queues.endpoint_url), **settings})


def json_lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


class TestPublisher:
    def test_what_is_published_is_what_the_worker_reads(self, publisher: Publisher, queues: Queues) -> None:
        expires_at = datetime(2027, 1, 31, 12, tzinfo=UTC)
        reply = ActivityCreated.new(
            author="ada", message="hello", source="/backend", expires_at=expires_at, reply_to=uuid4()
        )

        publisher.publish(reply)
        publisher.publish(sign_up())

        received = events(queues)
        assert received[0] == reply
        assert isinstance(received[1], UserSignedUp)
        assert received[1].data == sign_up().data

    def test_the_trace_is_passed_on_and_left_out_where_there_is_none(
        self, publisher: Publisher, queues: Queues
    ) -> None:
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        traced = ActivityCreated.new(author="ada", message="hello", source="/backend", traceparent=trace)

        assert publisher.publish_many([traced, activity()]) == []

        with_trace, without = map(json.loads, bodies(queues))
        assert with_trace["traceparent"] == trace
        assert "traceparent" not in without

    def test_text_that_sqs_would_refuse_arrives(self, publisher: Publisher, queues: Queues) -> None:
        text = "\ufffe \uffff \N{GRINNING FACE} é"

        publisher.publish(activity(text))

        (received,) = events(queues)
        assert isinstance(received, ActivityCreated)
        assert received.data.message == text

    def test_events_are_sent_in_tens_and_in_order(
        self, publisher: Publisher, queues: Queues, proxy: FaultProxy
    ) -> None:
        sent = [activity(str(number)) for number in range(25)]

        assert publisher.publish_many(iter(sent)) == []

        assert events(queues) == sent
        assert proxy.calls["SendMessageBatch"] == 3

    def test_large_events_are_sent_in_calls_of_one_mebibyte(
        self, publisher: Publisher, queues: Queues, proxy: FaultProxy
    ) -> None:
        assert publisher.publish_many([sign_up(email_length=400_000) for _ in range(5)]) == []

        assert len(events(queues)) == 5
        assert proxy.calls["SendMessageBatch"] == 3

    def test_the_largest_event_is_one_mebibyte(self, publisher: Publisher, queues: Queues) -> None:
        frame = len(json.dumps(sign_up(email_length=1_000).model_dump(mode="json", exclude={"traceparent"}))) - 1_000

        # The time has from 20 to 27 characters: as many as there happen to be microseconds.
        publisher.publish(sign_up(email_length=1_048_576 - frame - 7))
        with pytest.raises(InvalidEvent, match="larger than 1048576 bytes"):
            publisher.publish(sign_up(email_length=1_048_576 - frame + 8))

        assert len(bodies(queues)) == 1

    @pytest.mark.parametrize(
        "bad",
        [
            activity().model_copy(update={"source": ""}),
            activity().model_copy(update={"data": None}),
            ActivityCreated.model_construct(id=uuid4(), type="activity.created.v1"),
            sign_up(email_length=1_100_000),
        ],
        ids=["copied without checks", "without data", "made without checks", "too large"],
    )
    def test_a_bad_event_raises_before_anything_is_sent(
        self, bad: Event, publisher: Publisher, proxy: FaultProxy
    ) -> None:
        with pytest.raises(InvalidEvent):
            publisher.publish_many([activity(), bad])

        assert proxy.log == []

    def test_what_is_no_event_raises_before_anything_is_sent(self, publisher: Publisher, proxy: FaultProxy) -> None:
        with pytest.raises(TypeError, match="not a dict"):
            publisher.publish({"type": "activity.created.v1"})  # type: ignore[arg-type]  # the mistake is the test

        assert proxy.log == []

    def test_constructors_say_in_one_line_what_is_wrong_and_quote_nothing(self) -> None:
        with pytest.raises(InvalidEvent) as invalid:
            UserSignedUp.new(cognito_user_id="ada", handle="a secret", display_name="", source="/backend")

        assert str(invalid.value) == (
            "data.display_name: String should have at least 1 character; "
            "data.handle: must be visible, without white space, control or format characters"
        )

    def test_a_time_without_a_zone_is_an_invalid_event(self) -> None:
        with pytest.raises(InvalidEvent, match=r"data\.expires_at: .*timezone"):
            ActivityCreated.new(author="ada", message="x", source="/backend", expires_at=datetime(2027, 1, 1))  # noqa: DTZ001

    def test_what_fails_in_part_is_sent_again_until_each_event_is_there_once(
        self, publisher: Publisher, queues: Queues, proxy: FaultProxy
    ) -> None:
        proxy.fail_entries("SendMessageBatch", 0.5, times=3)
        sent = [activity() for _ in range(20)]

        assert publisher.publish_many(sent) == []

        assert sorted(str(event.id) for event in events(queues)) == sorted(str(event.id) for event in sent)

    def test_what_fails_for_good_is_returned_and_the_rest_is_there(
        self, publisher: Publisher, queues: Queues, proxy: FaultProxy
    ) -> None:
        proxy.fail_entries("SendMessageBatch", 0.3, code="InvalidMessageContents", sender_fault=True, times=1)
        sent = [activity() for _ in range(12)]

        failed = publisher.publish_many(sent)

        assert [(failure.code, failure.reason, failure.call_failed) for failure in failed] == [
            ("InvalidMessageContents", "InvalidMessageContents: injected", False)
        ] * 3
        missing = {failure.event.id for failure in failed}
        assert [event.id for event in events(queues)] == [event.id for event in sent if event.id not in missing]
        assert proxy.calls["SendMessageBatch"] == 2  # a sender's fault is not tried again

    def test_attempts_end(self, publisher: Publisher, queues: Queues, proxy: FaultProxy) -> None:
        proxy.fail_entries("SendMessageBatch", 1.0)
        event = activity()

        with pytest.raises(NotPublished, match="InternalError") as error:
            publisher.publish(event)

        assert error.value.failure.event is event
        assert error.value.failure.call_failed is False
        assert proxy.calls["SendMessageBatch"] == 5
        assert bodies(queues) == []

    def test_a_call_that_fails_whole_for_a_while_is_tried_again(
        self, publisher: Publisher, queues: Queues, proxy: FaultProxy
    ) -> None:
        proxy.fail("SendMessageBatch", status=503, code="ServiceUnavailable", times=1)

        publisher.publish(activity())

        assert len(bodies(queues)) == 1

    def test_when_a_call_fails_for_good_what_is_left_is_returned_and_not_tried(self) -> None:
        sent = [activity() for _ in range(35)]
        with closing(sqs_client("http://127.0.0.1:1")) as client, Stubber(client) as stub:
            queue = {"QueueUrl": "http://127.0.0.1:1/1/events", "Entries": ANY}
            successful = [{"Id": str(n), "MessageId": str(n), "MD5OfMessageBody": ""} for n in range(10)]
            stub.add_response("send_message_batch", {"Successful": successful, "Failed": []}, queue)
            stub.add_client_error("send_message_batch", "AccessDenied", "no", expected_params=queue)

            failed = Publisher("http://127.0.0.1:1/1/events", client=client).publish_many(sent)

            stub.assert_no_pending_responses()
        assert [failure.event for failure in failed] == sent[10:]
        assert {failure.code for failure in failed} == {"AccessDenied"}
        assert all(failure.call_failed and "sqs:SendMessage" in failure.reason for failure in failed)

    def test_threads_share_a_publisher(self, publisher: Publisher, queues: Queues, proxy: FaultProxy) -> None:
        proxy.fail_entries("SendMessageBatch", 0.2, times=5)
        sent = [[activity() for _ in range(15)] for _ in range(8)]

        with ThreadPoolExecutor(len(sent)) as threads:
            assert list(threads.map(publisher.publish_many, sent)) == [[]] * len(sent)

        published = [event.id for each in sent for event in each]
        assert sorted(map(str, (event.id for event in events(queues)))) == sorted(map(str, published))

    def test_a_backend_needs_nothing_but_boto3_and_pydantic(self, queues: Queues) -> None:
        result = subprocess.run(
            [sys.executable, "-c", ONLY_THE_PUBLISHER, queues.events_url],
            env=environment(queues),
            capture_output=True,
            text=True,
            check=True,
        )

        loaded = set(result.stdout.split())
        assert {"boto3", "botocore", "pydantic", "signup_sync"} <= loaded
        unwanted = {"alembic", "click", "db", "psycopg", "psycopg_pool", "rich", "sqlalchemy", "structlog", "worker"}
        assert not loaded & unwanted
        assert len(bodies(queues)) == 1


class TestPublishCommand:
    def test_an_activity_is_published_and_its_id_printed(self, queues: Queues) -> None:
        parent = uuid4()
        before = datetime.now(UTC)
        result = run(
            *("publish", "activity", "--author", "ada", "--message", "hello", "--expires-in", "7d"),
            *("--reply-to", str(parent), "--source", "/operator"),
            environment=environment(queues),
        )

        assert result.returncode == 0, result.stderr
        (event,) = events(queues)
        assert isinstance(event, ActivityCreated)
        assert result.stdout == f"{event.id}\n"
        assert (event.source, event.data.cognito_user_id, event.data.message) == ("/operator", "ada", "hello")
        assert event.data.reply_to_activity_uuid == parent
        assert event.data.expires_at is not None
        assert before < event.time < before + timedelta(minutes=5)
        assert before < event.data.expires_at - timedelta(days=7) < before + timedelta(minutes=5)

    def test_a_user_is_published_and_their_sub_printed_as_json(self, queues: Queues) -> None:
        result = invoke(
            *("publish", "user", "--sub", "5f0c", "--handle", "ada", "--email", "ada@example.org", "--json"),
            environment=environment(queues),
        )

        assert json_lines(result.stdout) == [{"id": "5f0c", "type": "user.signed_up.v1", "published": True}]
        (event,) = events(queues)
        assert isinstance(event, UserSignedUp)
        assert (event.id, event.data.handle, event.data.display_name) == ("5f0c", "ada", "ada")

    def test_a_users_new_profile_is_published(self, queues: Queues) -> None:
        result = invoke(
            *("publish", "update", "--sub", "5f0c", "--handle", "ada"),
            *("--attribute", "locale=en", "--attribute", "custom:sum=1=1"),
            environment=environment(queues),
        )

        assert result.returncode == 0, result.stderr
        (event,) = events(queues)
        assert isinstance(event, UserUpdated)
        assert result.stdout == f"{event.id}\n"
        assert (event.data.cognito_user_id, event.data.display_name, event.data.email) == ("5f0c", "ada", None)
        assert event.data.attributes == {"locale": "en", "custom:sum": "1=1"}

    @pytest.mark.parametrize(("arguments", "activities"), [((), "erase"), (("--keep-activities",), "keep")])
    def test_that_a_user_is_gone_is_published(
        self, queues: Queues, arguments: tuple[str, ...], activities: str
    ) -> None:
        result = invoke("publish", "delete", "--sub", "5f0c", *arguments, environment=environment(queues))

        assert result.returncode == 0, result.stderr
        (event,) = events(queues)
        assert isinstance(event, UserDeleted)
        assert result.stdout == f"{event.id}\n"
        assert (event.data.cognito_user_id, event.data.activities) == ("5f0c", activities)

    def test_an_attribute_without_a_value_is_refused(self, queues: Queues) -> None:
        result = invoke(
            *("publish", "user", "--sub", "5f0c", "--handle", "ada", "--attribute", "locale"),
            environment=environment(queues),
        )

        assert result.returncode == 2
        assert "'locale' is no attribute and its value, such as locale=en" in result.stderr

    def test_a_file_may_have_every_type_of_event(self, queues: Queues) -> None:
        gone = UserDeleted.new(cognito_user_id="ada", source="/backend")
        new = UserUpdated.new(cognito_user_id="ada", handle="ada", display_name="Ada", source="/backend")
        sent: list[Event] = [sign_up(), new, gone, activity()]

        result = invoke(
            "publish", "file", "-", environment=environment(queues), stdin="\n".join(e.model_dump_json() for e in sent)
        )

        assert result.returncode == 0, result.stderr
        assert events(queues) == sent

    def test_a_file_is_published(self, queues: Queues) -> None:
        sent = [activity(str(number)) for number in range(120)]
        lines = [json.dumps({**json.loads(event.model_dump_json()), "unknown": "attribute"}) for event in sent]

        result = invoke("publish", "file", "-", environment=environment(queues), stdin="\n\n".join(lines))

        assert result.returncode == 0, result.stderr
        assert result.stdout.split() == [str(event.id) for event in sent]
        assert events(queues) == sent

    def test_a_file_with_invalid_lines_is_not_published_and_the_lines_are_named(self, queues: Queues) -> None:
        lines = [activity().model_dump_json(), "", "{", json.dumps({"type": "secret"}), activity().model_dump_json()]

        result = invoke("publish", "file", "-", environment=environment(queues), stdin="\n".join(lines))

        assert result.returncode == 2
        assert result.stdout == ""
        first, second, last = result.stderr.splitlines()
        assert first.startswith("line 3: Invalid JSON")
        assert second == "line 4: type: not one of " + ", ".join(EVENT_TYPES)
        assert last == "signup-sync: nothing was published, as 2 of 4 events are invalid"
        assert bodies(queues) == []

    def test_events_of_a_file_that_could_not_be_published_are_named(self, queues: Queues, proxy: FaultProxy) -> None:
        proxy.fail_entries("SendMessageBatch", 0.5, code="InvalidMessageContents", sender_fault=True, times=1)
        sent = [activity() for _ in range(4)]
        stdin = "\n".join(event.model_dump_json() for event in sent)

        result = invoke(
            *("publish", "file", "-", "--json"),
            environment=environment(queues, AWS_ENDPOINT_URL_SQS=proxy.endpoint_url),
            stdin=stdin,
        )

        assert result.returncode == 1
        lines = json_lines(result.stdout)
        assert [(line["line"], line["id"]) for line in lines] == [(n, str(e.id)) for n, e in enumerate(sent, 1)]
        published = [UUID(line["id"]) for line in lines if line["published"]]
        assert [event.id for event in events(queues)] == published
        assert [line["code"] for line in lines if not line["published"]] == ["InvalidMessageContents"] * 2
        assert result.stderr == "2 of 4 events were published; it is safe to publish the file again\n"

    def test_a_file_that_is_interrupted_says_how_far_it_came(
        self, queues: Queues, proxy: FaultProxy, tmp_path: Path
    ) -> None:
        sent = [activity() for _ in range(220)]
        (tmp_path / "events.jsonl").write_text("\n".join(event.model_dump_json() for event in sent))
        proxy.hang("SendMessageBatch", after=10)
        through_proxy = environment(queues, AWS_ENDPOINT_URL_SQS=proxy.endpoint_url)

        with start("publish", "file", str(tmp_path / "events.jsonl"), environment=through_proxy) as process:
            wait_until(lambda: proxy.calls["SendMessageBatch"] > 10, 30, "nothing was published")
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)

        assert process.returncode == 130
        assert errors == "interrupted; 100 of 220 events are known to be published\n"
        assert output.split() == [str(event.id) for event in sent[:100]]
        assert set(output.split()) <= {str(event.id) for event in events(queues)}

    @pytest.mark.parametrize("stdout_too", [True, False], ids=["everything on the terminal", "output into a pipe"])
    def test_a_file_has_a_progress_bar_on_a_terminal_and_the_ids_stay_whole(
        self, queues: Queues, *, stdout_too: bool
    ) -> None:
        sent = [activity() for _ in range(3)]
        stdin = "\n".join(event.model_dump_json() for event in sent)

        status, terminal, piped = invoke_on_terminal(
            *("publish", "file", "-"), environment=environment(queues), stdin=stdin, stdout_too=stdout_too
        )

        assert status == 0, terminal
        assert "Publishing" in terminal
        ids = [str(event.id) for event in sent]
        assert piped.split() == ([] if stdout_too else ids)
        assert [event_id for event_id in ids if event_id in terminal] == (ids if stdout_too else [])

    def test_without_a_terminal_there_is_no_progress_bar(self, queues: Queues) -> None:
        result = invoke("publish", "file", "-", environment=environment(queues), stdin=activity().model_dump_json())

        assert result.stderr == "1 event was published\n"

    def test_a_file_without_events_is_said_to_be_empty(self, queues: Queues) -> None:
        result = invoke("publish", "file", "-", environment=environment(queues), stdin="\n\n")

        assert (result.returncode, result.stderr) == (0, "the file has no events: nothing was published\n")

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"QUEUE_URL": ""}, "QUEUE_URL is not set"),
            ({"QUEUE_URL": "https://example.org/nobodys"}, "NonExistentQueue"),
            ({"AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{free_port()}"}, "is the endpoint right"),
            ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no AWS credentials: set AWS_PROFILE"),
            ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL_SQS": ""}, "no region: set AWS_REGION"),
        ],
    )
    def test_a_mistake_is_one_line_that_says_what_to_do(
        self, queues: Queues, settings: dict[str, str], message: str
    ) -> None:
        result = invoke(
            *("publish", "activity", "--author", "ada", "--message", "hello"),
            environment=environment(queues, **settings),
        )

        assert result.returncode == 2
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert message in line

    @pytest.mark.parametrize(
        ("code", "advice"),
        [("AccessDenied", "needs sqs:SendMessage"), ("ExpiredToken", "sign in again, or renew the credentials")],
    )
    def test_a_refusal_of_sqs_is_one_line_that_says_what_to_do(
        self, queues: Queues, proxy: FaultProxy, code: str, advice: str
    ) -> None:
        proxy.fail("SendMessageBatch", status=403, code=code, message="refused")

        result = invoke(
            *("publish", "file", "-"),
            environment=environment(queues, AWS_ENDPOINT_URL_SQS=proxy.endpoint_url),
            stdin=activity().model_dump_json(),
        )

        assert result.returncode == 2
        (line,) = result.stderr.splitlines()
        assert line == f"signup-sync: nothing was published: send_message_batch: {code}: refused ({advice})"

    def test_the_region_may_be_in_aws_region_alone(self, queues: Queues) -> None:
        given = environment(queues, AWS_DEFAULT_REGION="")

        result = invoke("publish", "activity", "--author", "ada", "--message", "hello", environment=given)

        assert result.returncode == 0, result.stderr
        assert len(bodies(queues)) == 1

    def test_an_invalid_activity_is_one_line_without_the_text(self, queues: Queues) -> None:
        result = invoke(
            *("publish", "activity", "--author", "ada", "--message", "secret" * 200), environment=environment(queues)
        )

        assert result.returncode == 2
        (line,) = result.stderr.splitlines()
        assert "data.message: String should have at most 1024 characters" in line
        assert "secret" not in line
        assert bodies(queues) == []
