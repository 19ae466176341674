"""A full queue on the loopback: SQS' answers to a worker's happy path, the same each time, and no more than that.

It gives each message once, ten at a time, and keeps connections open, as SQS does. Members are those of the SQS API
Reference (ReceiveMessage, DeleteMessageBatch, GetQueueAttributes).
"""

import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_HANDLE = "h" * 200  # characters, about as long as SQS' receipt handles


class FullQueue:
    """Messages with these bodies; `url` is the events queue, `dlq_url` a dead-letter queue that stays empty.

    `left` are the places of the messages that are not deleted.
    """

    def __init__(self, bodies: Sequence[str]) -> None:
        self.left = set(range(len(bodies)))
        self._waiting = [_message(place, body) for place, body in enumerate(bodies)]
        self._server = _Server(self)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"{self.endpoint_url}/123456789012/events"

    @property
    def dlq_url(self) -> str:
        return f"{self.endpoint_url}/123456789012/dead"

    def answer(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Raises `KeyError` for a call that is not of the happy path."""
        return {
            "GetQueueAttributes": self._describe,
            "ReceiveMessage": self._receive,
            "DeleteMessageBatch": self._delete,
        }[operation](parameters)

    def _describe(self, parameters: dict[str, Any]) -> dict[str, Any]:
        name = parameters["QueueUrl"].rpartition("/")[2]
        arn = "arn:aws:sqs:us-east-1:123456789012:"
        redrive = {"RedrivePolicy": json.dumps({"maxReceiveCount": 5, "deadLetterTargetArn": f"{arn}dead"})}
        own = redrive if name == "events" else {}
        return {"Attributes": {"QueueArn": arn + name, "VisibilityTimeout": "30", **own}}

    def _receive(self, parameters: dict[str, Any]) -> dict[str, Any]:
        with self._server.lock:
            given = self._waiting[: parameters["MaxNumberOfMessages"]]
            del self._waiting[: len(given)]
        return {"Messages": given} if given else {}

    def _delete(self, parameters: dict[str, Any]) -> dict[str, Any]:
        entries = parameters["Entries"]
        with self._server.lock:
            self.left -= {int(entry["ReceiptHandle"].removeprefix(_HANDLE)) for entry in entries}
        return {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, queue: FullQueue) -> None:
        self.queue = queue
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        parameters = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        content = json.dumps(self.server.queue.answer(operation, parameters)).encode()
        head = (
            "HTTP/1.1 200 OK\r\nx-amzn-RequestId: 7d1f6b9a-5c1e-5f0e-8a39-3f3f2f0c9c11\r\n"
            f"Date: {self.date_time_string()}\r\nContent-Type: application/x-amz-json-1.0\r\n"
            f"Content-Length: {len(content)}\r\nconnection: keep-alive\r\n\r\n"
        )
        self.wfile.write(head.encode() + content)  # at once, so that it is always read at once

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the server's name)
        """Say nothing."""


def _message(place: int, body: str) -> dict[str, Any]:
    return {
        "MessageId": f"00000000-0000-4000-8000-{place:012}",
        "ReceiptHandle": f"{_HANDLE}{place}",
        "MD5OfBody": "0" * 32,
        "Body": body,
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1767225600000"},
    }
