"""The lean client against boto3's: the same on the wire, the same results, the same behaviour when something fails."""

import base64
import json
import ssl
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Barrier, Thread
from typing import Any, NamedTuple, cast

import boto3
import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from mypy_boto3_sqs.client import SQSClient

from signup_sync.sqs import Outgoing, SqsError
from tests.support.certificate import make_certificate
from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import REGION, Queues
from tests.support.wait import wait_until
from worker.aws.lean_client import LeanClient
from worker.aws.sqs import Queue

QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/events"
SESSION = "a+session/token=="
KINDS = ["boto3", "lean"]

Make = Callable[..., SQSClient]


class Request(NamedTuple):
    """What came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    client: tuple[str, int]


class Recorder:
    """An HTTP server that keeps what it is sent, and answers as it is told."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], bytes] = lambda _: http_answer({})
        self.closes = False  # the connection, behind each answer and without a word
        self.closed = 0  # connections, of which the client has heard the end by then
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request(self.command, self.path, dict(self.headers.items()), body, self.client_address)
                recorder.requests.append(request)
                self.wfile.write(recorder.answer(request))
                self.close_connection = recorder.closes

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def shutdown_request(self, request: Any) -> None:
                super().shutdown_request(request)
                recorder.closed += 1

            def handle_error(self, *_: object) -> None:
                pass  # a client that does not trust us hangs up

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._scheme = "https" if tls else "http"
        self.port: int = self._server.server_address[1]
        self.url = f"{self._scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> "Recorder":
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def http_answer(body: dict[str, Any], status: str = "200 OK", **headers: str) -> bytes:
    content = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        yield server


@contextmanager
def client_of(kind: str, endpoint_url: str, *, verify: str | None = None, **config: Any) -> Iterator[SQSClient]:
    options = {"retries": {"mode": "standard", "total_max_attempts": 3}, "tcp_keepalive": True, **config}
    plain: SQSClient = boto3.client(
        "sqs",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="a secret",
        aws_session_token=SESSION,
        verify=verify,
        config=Config(**options),
    )
    with closing(plain if kind == "boto3" else cast("SQSClient", LeanClient(plain))) as client:
        yield client


ATTEMPTS_1: dict[str, Any] = {"retries": {"mode": "standard", "total_max_attempts": 1}}

CALLS: dict[str, dict[str, Any]] = {
    "receive_message": {
        "MaxNumberOfMessages": 10,
        "WaitTimeSeconds": 0,
        "AttributeNames": ["ApproximateReceiveCount"],
        "MessageAttributeNames": ["All"],
    },
    "delete_message_batch": {"Entries": [{"Id": "0", "ReceiptHandle": "hän/dle+=="}]},
    "change_message_visibility_batch": {"Entries": [{"Id": "0", "ReceiptHandle": "handle", "VisibilityTimeout": 7}]},
    "send_message_batch": {
        "Entries": [
            {
                "Id": "0",
                "MessageBody": 'grüße 🦊 "quoted"',
                "MessageAttributes": {
                    "text": {"DataType": "String", "StringValue": "ü"},
                    "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
                },
            }
        ]
    },
}
# Of one call or one moment, and so never the same.
OF_ONE_CALL = {"X-Amz-Date", "Authorization", "amz-sdk-invocation-id"}


@pytest.mark.parametrize("operation", CALLS)
def test_both_clients_put_the_same_on_the_wire(recorder: Recorder, operation: str) -> None:
    for kind in KINDS:
        with client_of(kind, recorder.url) as client:
            for _ in range(2):  # the first call of the lean client is boto3's
                getattr(client, operation)(QueueUrl=QUEUE_URL, **CALLS[operation])

    plain, lean = recorder.requests[1], recorder.requests[3]
    assert (lean.method, lean.path, lean.body) == (plain.method, plain.path, plain.body)
    assert lean.headers.keys() == plain.headers.keys()
    different = {name for name, value in lean.headers.items() if value != plain.headers[name]}
    assert different <= OF_ONE_CALL
    assert lean.headers["X-Amz-Security-Token"] == SESSION
    before_signature = [request.headers["Authorization"].split("Signature=")[0] for request in (plain, lean)]
    assert before_signature[0] == before_signature[1]


@pytest.mark.parametrize("operation", CALLS)
def test_the_signature_is_the_one_that_botocore_makes(recorder: Recorder, operation: str) -> None:
    with client_of("lean", recorder.url) as client:
        for _ in range(2):
            getattr(client, operation)(QueueUrl=QUEUE_URL, **CALLS[operation])

    for request in recorder.requests:
        signed = request.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        headers = {name: value for name, value in request.headers.items() if name.lower() in signed}
        again = AWSRequest("POST", f"{recorder.url}/", data=request.body, headers=headers)
        again.context["timestamp"] = request.headers["X-Amz-Date"]
        auth: Any = SigV4Auth(Credentials("AKIDEXAMPLE", "a secret", SESSION), "sqs", REGION)
        signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
        assert request.headers["Authorization"].endswith(f"Signature={signature}")


def test_the_first_call_is_boto3_s_and_the_others_share_a_connection_of_their_own(recorder: Recorder) -> None:
    with client_of("lean", recorder.url) as client:
        for _ in range(3):
            client.receive_message(QueueUrl=QUEUE_URL)

    first, second, third = (request.client for request in recorder.requests)
    assert first != second
    assert second == third


def test_each_call_has_an_invocation_id_of_its_own(recorder: Recorder) -> None:
    with client_of("lean", recorder.url) as client:
        for _ in range(3):
            client.receive_message(QueueUrl=QUEUE_URL)

    assert len({request.headers["amz-sdk-invocation-id"] for request in recorder.requests}) == 3


ANSWERS: list[dict[str, Any]] = [
    {},
    {"Messages": None},
    {"Messages": []},
    {
        "Messages": [
            {
                "MessageId": "1",
                "ReceiptHandle": "handle",
                "Body": "grüße 🦊",
                "Attributes": {"ApproximateReceiveCount": "1"},
                "MessageAttributes": {
                    "raw": {"DataType": "Binary", "BinaryValue": base64.b64encode(b"\x00\xff").decode()},
                    "text": {"DataType": "String", "StringValue": "ü"},
                },
            }
        ]
    },
]


def without_metadata(result: Any) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "ResponseMetadata"}


@pytest.mark.parametrize("body", ANSWERS)
def test_both_clients_read_the_same_from_an_answer(recorder: Recorder, body: dict[str, Any]) -> None:
    recorder.answer = lambda _: http_answer(body, Date="Sat, 31 Jan 2026 12:00:00 GMT")
    with client_of("lean", recorder.url) as client:
        plain, lean = (client.receive_message(QueueUrl=QUEUE_URL) for _ in range(2))

    assert without_metadata(lean) == without_metadata(plain)
    assert lean["ResponseMetadata"]["HTTPStatusCode"] == plain["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert lean["ResponseMetadata"]["HTTPHeaders"] == plain["ResponseMetadata"]["HTTPHeaders"]


def chunked(content: bytes) -> bytes:
    size = len(content) // 2
    chunks = [content[:size], content[size:], b""]
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
        b"%x;extension=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks
    )


@pytest.mark.parametrize(
    "answer",
    [
        chunked(b'{"Messages": [{"MessageId": "1"}]}'),
        b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"Messages": [{"MessageId": "1"}]}',
        b"HTTP/1.1 100 Continue\r\n\r\n" + http_answer({"Messages": [{"MessageId": "1"}]}),
    ],
    ids=["chunked", "until the end of the connection", "after an interim answer"],
)
def test_an_answer_of_any_form_is_read(recorder: Recorder, answer: bytes) -> None:
    with client_of("lean", recorder.url, **ATTEMPTS_1) as client:
        client.receive_message(QueueUrl=QUEUE_URL)
        recorder.answer = lambda _: answer
        recorder.closes = b"Connection: close" in answer

        results = [client.receive_message(QueueUrl=QUEUE_URL)["Messages"] for _ in range(2)]

    assert results == [[{"MessageId": "1"}]] * 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"Content-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"Content-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n174876e800\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + http_answer({}),
    ],
    ids=[
        "nothing",
        "half a header",
        "half a body",
        "not HTTP",
        "not chunks",
        "an endless header",
        "an endless status line",
        "many headers at once",
        "many headers by and by",
        "more content than there can be",
        "less content than none",
        "a chunk that is larger than memory",
        "a chunk that is less than none",
        "trailers without end",
        "interim answers without end",
    ],
)
def test_an_answer_that_is_none_counts_as_a_closed_connection(recorder: Recorder, answer: bytes) -> None:
    with client_of("lean", recorder.url, **ATTEMPTS_1) as client:
        client.receive_message(QueueUrl=QUEUE_URL)
        recorder.answer = lambda _: answer
        recorder.closes = True

        with pytest.raises(SqsError) as caught:
            Queue(QUEUE_URL, client).receive(wait_seconds=0, visibility_timeout=30)

    assert caught.value.code == "ConnectionClosedError"


@pytest.mark.parametrize("headers", ["Transfer-Encoding: chunked", "Connection: close"])
def test_content_without_a_length_and_without_end_counts_as_a_closed_connection(
    recorder: Recorder, headers: str
) -> None:
    """As much is read as SQS can have to say, and no more."""
    mebibyte = b"x" * 1_048_576
    part = b"100000\r\n" + mebibyte + b"\r\n" if headers.endswith("chunked") else mebibyte
    with client_of("lean", recorder.url, **ATTEMPTS_1) as client:
        client.receive_message(QueueUrl=QUEUE_URL)
        recorder.answer = lambda _: b"HTTP/1.1 200 OK\r\n" + headers.encode() + b"\r\n\r\n" + part * 65
        recorder.closes = True

        with pytest.raises(SqsError) as caught:
            Queue(QUEUE_URL, client).receive(wait_seconds=0, visibility_timeout=30)

    assert caught.value.code == "ConnectionClosedError"


@pytest.mark.parametrize(
    "content",
    [
        b"<html></html>",
        b"[]",
        b'{"Messages": 5}',
        b'{"Messages": [{"MessageAttributes": {"raw": {"BinaryValue": "x"}}}]}',
        b"[" * 100_000,
    ],
)
def test_a_success_that_is_not_of_sqs_is_an_error(recorder: Recorder, content: bytes) -> None:
    with client_of("lean", recorder.url, **ATTEMPTS_1) as client:
        client.receive_message(QueueUrl=QUEUE_URL)
        recorder.answer = lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)

        with pytest.raises(SqsError) as caught:
            Queue(QUEUE_URL, client).receive(wait_seconds=0, visibility_timeout=30)

    assert caught.value.code == "HTTPClientError"


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_the_other_side_has_closed_is_not_used_again(recorder: Recorder, kind: str) -> None:
    recorder.closes = True
    with client_of(kind, recorder.url, **ATTEMPTS_1) as client:
        for number in range(4):
            client.receive_message(QueueUrl=QUEUE_URL)
            wait_until(lambda: recorder.closed > number, 20, "the server has not hung up")  # noqa: B023 (called at once)

    assert len({request.client for request in recorder.requests}) == 4


def test_many_threads_have_each_their_own_answers(recorder: Recorder) -> None:
    recorder.answer = lambda request: http_answer({"Messages": [{"Body": json.loads(request.body)["QueueUrl"]}]})
    with client_of("lean", recorder.url, max_pool_connections=4) as client, ThreadPoolExecutor(8) as threads:
        urls = [f"{QUEUE_URL}-{number}" for number in range(200)]
        answers = threads.map(lambda url: client.receive_message(QueueUrl=url)["Messages"], urls)

        assert [message["Body"] for (message,) in answers] == urls


@contextmanager
def warm_queue(kind: str, proxy: FaultProxy, queues: Queues, **config: Any) -> Iterator[Queue]:
    """A queue whose client has made its first call of each operation, and holds an open connection."""
    with client_of(kind, proxy.endpoint_url, **config) as client:
        queue = Queue(queues.events_url, client)
        for _ in range(2):
            queue.send([Outgoing("warm")])
            handles = [message.receipt_handle for message in queue.receive(wait_seconds=0, visibility_timeout=30)]
            queue.change_visibility([(handle, 30) for handle in handles])
            queue.delete(handles)
        yield queue


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "code"), [(500, "InternalFailure"), (503, "ServiceUnavailable"), (400, "ThrottlingException")]
)
def test_an_error_that_passes_is_tried_again(
    proxy: FaultProxy, queues: Queues, kind: str, status: int, code: str
) -> None:
    with warm_queue(kind, proxy, queues) as queue:
        before = proxy.calls["SendMessageBatch"]
        proxy.fail("SendMessageBatch", status=status, code=code, times=1)

        assert queue.send([Outgoing("hello")]) == []

    assert proxy.calls["SendMessageBatch"] - before == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "code", "query_code", "expected", "calls"),
    [
        (500, "InternalFailure", None, "InternalFailure", 3),
        (403, "ExpiredTokenException", None, "ExpiredTokenException", 1),
        (403, "AccessDeniedException", None, "AccessDeniedException", 1),
        (
            400,
            "QueueDoesNotExist",
            "AWS.SimpleQueueService.NonExistentQueue",
            "NonExistentQueue",
            1,
        ),
    ],
)
def test_an_error_that_lasts_is_reported_as_boto3_reports_it(
    proxy: FaultProxy,
    queues: Queues,
    kind: str,
    status: int,
    code: str,
    query_code: str | None,
    expected: str,
    calls: int,
) -> None:
    with warm_queue(kind, proxy, queues) as queue:
        before = proxy.calls["SendMessageBatch"]
        proxy.fail("SendMessageBatch", status=status, code=code, query_code=query_code, message="told so")

        with pytest.raises(SqsError, match="told so") as caught:
            queue.send([Outgoing("hello")])

    assert (caught.value.operation, caught.value.code) == ("send_message_batch", expected)
    assert proxy.calls["SendMessageBatch"] - before == calls
    assert isinstance(caught.value.__cause__, ClientError)


def test_an_error_has_the_type_that_boto3_gives_it(proxy: FaultProxy, queues: Queues) -> None:
    proxy.fail("ReceiveMessage", status=400, code="OverLimit", query_code="OverLimit")
    with client_of("lean", proxy.endpoint_url) as client:
        errors = []
        for _ in range(2):
            with pytest.raises(client.exceptions.OverLimit) as caught:
                client.receive_message(QueueUrl=queues.events_url)
            errors.append(caught.value)

    plain, lean = errors
    assert (str(lean), lean.operation_name) == (str(plain), plain.operation_name)
    assert lean.response["Error"] == plain.response["Error"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[]", b"null", b'{"__type": 5}', b"[" * 100_000])
def test_an_error_that_botocore_cannot_read_has_its_status(recorder: Recorder, content: bytes) -> None:
    with client_of("lean", recorder.url, **ATTEMPTS_1) as client:
        client.receive_message(QueueUrl=QUEUE_URL)
        recorder.answer = lambda _: (
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)
        )

        with pytest.raises(SqsError) as caught:
            Queue(QUEUE_URL, client).receive(wait_seconds=0, visibility_timeout=30)

    assert caught.value.code == "502"


def test_an_error_that_is_no_json_has_its_status(recorder: Recorder) -> None:
    recorder.answer = lambda _: b"HTTP/1.1 503 Slow Down\r\nContent-Length: 15\r\n\r\n<html>no</html>"
    codes = []
    with client_of("lean", recorder.url, **ATTEMPTS_1) as client:
        for _ in range(2):
            with pytest.raises(ClientError) as caught:
                client.receive_message(QueueUrl=QUEUE_URL)
            codes.append(caught.value.response["Error"]["Code"])

    assert codes == ["503", "503"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_entries_that_failed_are_named(proxy: FaultProxy, queues: Queues, kind: str) -> None:
    with warm_queue(kind, proxy, queues) as queue:
        proxy.fail_entries("SendMessageBatch", 0.5, code="InternalError", times=1)

        failures = queue.send([Outgoing(str(number)) for number in range(4)])

    assert len(failures) == 2
    assert {(failure.code, failure.sender_fault) for failure in failures} == {("InternalError", False)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["drop_request", "drop_response"])
def test_a_call_whose_connection_breaks_is_made_again(proxy: FaultProxy, queues: Queues, kind: str, fault: str) -> None:
    with warm_queue(kind, proxy, queues) as queue:
        before = proxy.calls["DeleteMessageBatch"]
        queue.send([Outgoing("hello")])
        (message,) = queue.receive(wait_seconds=0, visibility_timeout=30)
        getattr(proxy, fault)("DeleteMessageBatch", times=1)

        queue.delete([message.receipt_handle])

    assert proxy.calls["DeleteMessageBatch"] - before == 2
    assert queues.counts() == (0, 0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_is_not_answered_times_out(proxy: FaultProxy, queues: Queues, kind: str) -> None:
    with warm_queue(kind, proxy, queues, read_timeout=2.0, **ATTEMPTS_1) as queue:
        proxy.hang("ReceiveMessage", times=1)

        with pytest.raises(SqsError) as caught:
            queue.receive(wait_seconds=0, visibility_timeout=30)
        proxy.clear()

        assert queue.receive(wait_seconds=0, visibility_timeout=30) == []
    assert caught.value.code == "ReadTimeoutError"


@pytest.mark.parametrize("kind", KINDS)
def test_an_endpoint_that_is_down_is_said_to_be_and_found_again(proxy: FaultProxy, queues: Queues, kind: str) -> None:
    with warm_queue(kind, proxy, queues, **ATTEMPTS_1) as queue:
        proxy.down()

        def code() -> str:
            with pytest.raises(SqsError) as caught:
                queue.receive(wait_seconds=0, visibility_timeout=30)
            return caught.value.code

        wait_until(lambda: code() == "EndpointConnectionError", 5, "the old connections are still used")
        proxy.up()

        assert queue.receive(wait_seconds=0, visibility_timeout=30) == []


@pytest.mark.parametrize("kind", KINDS)
def test_receives_and_deletions_that_are_made_together_bring_and_delete_all(
    proxy: FaultProxy, queues: Queues, kind: str
) -> None:
    with warm_queue(kind, proxy, queues) as queue:
        bodies = {f"message {n}" for n in range(37)}
        queues.send(*bodies)

        messages = queue.receive_together(5, wait_seconds=0, visibility_timeout=30)

        assert {message.body for message in messages} == bodies
        assert queue.delete_together([message.receipt_handle for message in messages]) == []
        assert sum(queues.counts()) == 0


def test_calls_that_are_made_together_are_under_way_together(recorder: Recorder) -> None:
    all_here = Barrier(4)
    with client_of("lean", recorder.url) as client:
        client.receive_message(QueueUrl=QUEUE_URL)  # the pattern for the others

        def answer(_: Request) -> bytes:
            all_here.wait(30)  # broken, if one waited for another's answer
            return http_answer({"Messages": [{"MessageId": "m", "ReceiptHandle": "r", "Body": "b"}]})

        recorder.answer = answer
        messages = Queue(QUEUE_URL, client).receive_together(4, wait_seconds=0, visibility_timeout=30)

    assert len(messages) == 4
    assert len({request.headers["amz-sdk-invocation-id"] for request in recorder.requests}) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_of_calls_that_are_made_together_one_that_fails_leaves_the_others(
    proxy: FaultProxy, queues: Queues, kind: str
) -> None:
    with warm_queue(kind, proxy, queues, **ATTEMPTS_1) as queue:
        queues.send(*(f"message {n}" for n in range(30)))
        proxy.fail("ReceiveMessage", times=1)
        messages = queue.receive_together(3, wait_seconds=0, visibility_timeout=30)
        assert len(messages) == 20

        handles = [message.receipt_handle for message in messages]
        proxy.drop_request("DeleteMessageBatch", times=1)
        left = queue.delete_together(handles)

        assert len(left) == 10
        assert queue.delete_together([handles[index] for index in left]) == []
        assert sum(queues.counts()) == 10


def test_receives_that_all_fail_are_an_error(proxy: FaultProxy, queues: Queues) -> None:
    with warm_queue("lean", proxy, queues, **ATTEMPTS_1) as queue:
        proxy.fail("ReceiveMessage", status=403, code="AccessDeniedException")
        with pytest.raises(SqsError) as caught:
            queue.receive_together(3, wait_seconds=0, visibility_timeout=30)
        assert caught.value.code == "AccessDeniedException"

        proxy.clear()
        assert queue.receive_together(3, wait_seconds=0, visibility_timeout=30) == []


def test_calls_without_an_answer_are_given_up(proxy: FaultProxy, queues: Queues) -> None:
    with warm_queue("lean", proxy, queues, read_timeout=2.0, **ATTEMPTS_1) as queue:
        proxy.hang("ReceiveMessage")
        with pytest.raises(SqsError) as caught:
            queue.receive_together(10, wait_seconds=0, visibility_timeout=30)
        proxy.clear()

    assert caught.value.code == "ReadTimeoutError"


def test_an_endpoint_that_is_down_is_not_tried_for_each_of_the_calls(proxy: FaultProxy, queues: Queues) -> None:
    with warm_queue("lean", proxy, queues, **ATTEMPTS_1) as queue:
        proxy.down()
        with pytest.raises(SqsError) as caught:
            queue.receive_together(5, wait_seconds=0, visibility_timeout=30)
        assert caught.value.code in {"EndpointConnectionError", "ConnectionClosedError"}
        proxy.up()
        assert queue.receive_together(5, wait_seconds=0, visibility_timeout=30) == []


def test_the_quota_for_retries_is_used_up_and_given_back(proxy: FaultProxy, queues: Queues) -> None:
    # 500, of which a retry takes 14 and its success gives them back; without success they are gone (botocore.retries).
    with warm_queue("lean", proxy, queues, retries={"mode": "standard", "total_max_attempts": 2}) as queue:
        proxy.fail("ReceiveMessage", status=500)
        for _ in range(40):
            with pytest.raises(SqsError):
                queue.receive(wait_seconds=0, visibility_timeout=30)
        before = proxy.calls["ReceiveMessage"]
        with pytest.raises(SqsError):
            queue.receive(wait_seconds=0, visibility_timeout=30)
        without_quota = proxy.calls["ReceiveMessage"] - before
        proxy.clear()
        for _ in range(14):
            queue.receive(wait_seconds=0, visibility_timeout=30)
        before = proxy.calls["ReceiveMessage"]
        proxy.fail("ReceiveMessage", status=500, times=1)
        queue.receive(wait_seconds=0, visibility_timeout=30)

    assert without_quota == 1
    assert proxy.calls["ReceiveMessage"] - before == 2


# Prints what is in the file beside it, as an AWS CLI would that has signed in anew (AWS CLI User Guide, "Sourcing
# credentials with an external process").
CREDENTIAL_PROCESS = """
import json, pathlib, sys
print(json.dumps({"Version": 1, **json.loads(pathlib.Path(sys.argv[1]).read_text())}))
"""


@pytest.mark.process
def test_credentials_are_refreshed(recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "process.py").write_text(CREDENTIAL_PROCESS)
    command = f"{sys.executable} {tmp_path}/process.py {tmp_path}/credentials.json"
    (tmp_path / "config").write_text(f"[profile refreshing]\nregion = {REGION}\ncredential_process = {command}\n")
    session = botocore.session.Session(profile="refreshing")
    session.set_config_variable("config_file", str(tmp_path / "config"))
    session.set_config_variable("credentials_file", str(tmp_path / "none"))

    def sign_in_as(access_key: str) -> None:
        # So soon that botocore asks again before each call.
        expiration = (datetime.now(UTC) + timedelta(minutes=2)).isoformat()
        keys = {"AccessKeyId": access_key, "SecretAccessKey": "x", "SessionToken": f"token of {access_key}"}
        (tmp_path / "credentials.json").write_text(json.dumps({**keys, "Expiration": expiration}))

    sign_in_as("AKIDFIRST")
    plain = boto3.Session(botocore_session=session).client(
        "sqs", endpoint_url=recorder.url, config=Config(**ATTEMPTS_1)
    )
    with closing(LeanClient(plain)) as client:
        client.receive_message(QueueUrl=QUEUE_URL)
        client.receive_message(QueueUrl=QUEUE_URL)
        sign_in_as("AKIDSECOND")
        client.receive_message(QueueUrl=QUEUE_URL)

    keys = [request.headers["Authorization"].split("Credential=")[1].split("/")[0] for request in recorder.requests]
    assert keys == ["AKIDFIRST", "AKIDFIRST", "AKIDSECOND"]
    assert recorder.requests[2].headers["X-Amz-Security-Token"] == "token of AKIDSECOND"


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_is_used(recorder: Recorder, kind: str) -> None:
    with client_of(kind, "http://sqs.example.com", proxies={"http": recorder.url}) as client:
        for _ in range(2):
            client.receive_message(QueueUrl=QUEUE_URL)

    assert [request.path for request in recorder.requests] == ["http://sqs.example.com/"] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_endpoint_with_a_path_is_called_there(recorder: Recorder, kind: str) -> None:
    with client_of(kind, f"{recorder.url}/sqs") as client:
        for _ in range(2):
            client.receive_message(QueueUrl=QUEUE_URL)

    assert [request.path for request in recorder.requests] == ["/sqs"] * 2


def certificate(folder: Path, *, address: str) -> tuple[ssl.SSLContext, str]:
    """A server's certificate for an IP address, and the file that a client is to trust."""
    files = make_certificate(folder, address=address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context, str(files.certificate)


def test_tls_is_spoken_with_a_server_that_is_trusted(tmp_path: Path) -> None:
    context, ca_bundle = certificate(tmp_path, address="127.0.0.1")
    with Recorder(context) as recorder, client_of("lean", recorder.url, verify=ca_bundle, **ATTEMPTS_1) as client:
        for _ in range(3):
            client.receive_message(QueueUrl=QUEUE_URL)

    first, second, third = (request.client for request in recorder.requests)
    assert first != second
    assert second == third


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_not_trusted_is_not_spoken_to(tmp_path: Path, kind: str) -> None:
    context, _ = certificate(tmp_path, address="127.0.0.1")
    with Recorder(context) as recorder, client_of(kind, recorder.url, **ATTEMPTS_1) as client:
        for _ in range(2):
            with pytest.raises(SqsError) as caught:
                Queue(QUEUE_URL, client).receive(wait_seconds=0, visibility_timeout=30)
            assert caught.value.code == "SSLError"

    assert recorder.requests == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_with_the_certificate_of_another_is_not_spoken_to(tmp_path: Path, kind: str) -> None:
    context, ca_bundle = certificate(tmp_path, address="192.0.2.1")
    with Recorder(context) as recorder, client_of(kind, recorder.url, verify=ca_bundle, **ATTEMPTS_1) as client:
        for _ in range(2):
            with pytest.raises(SqsError) as caught:
                Queue(QUEUE_URL, client).receive(wait_seconds=0, visibility_timeout=30)
            assert caught.value.code == "SSLError"

    assert recorder.requests == []
