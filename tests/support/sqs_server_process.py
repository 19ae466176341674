"""moto's SQS server as a process of its own: prints its port, and runs until standard input ends.

    python -m tests.support.sqs_server_process

A parent that holds the other end of standard input takes this process with it, however it ends.
"""

import socket
import sys
import threading
import time
from functools import cache
from typing import Any

import moto.sqs.models
from flask import request
from moto.core.utils import camelcase_to_underscores
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.sqs.models import Queue, SQSBackend
from werkzeug.serving import make_server

from tests.support.listener import has_hung_up
from tests.support.sqs import LONGEST_POLL

POLLING_INTERVAL = 0.05  # seconds

_delete_message = Queue.delete_message
_receive_message = SQSBackend.receive_message


class QuietRequestHandler(MotoRequestHandler):
    """Handles requests without a line of log for each."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def wait_for_messages(queue: Queue, timeout: int) -> None:
    """Wait up to `timeout` seconds for a visible message, as long as the caller of ReceiveMessage is there.

    moto goes on waiting for a caller who is gone, and then hands it messages: every worker that a test kills would
    put the next messages out of sight for a visibility timeout. It also does not notice a message that becomes
    visible again before its waiting time (a second) is over.
    """
    connection: socket.socket = request.environ["werkzeug.socket"]
    deadline = time.monotonic() + _longest(queue, timeout)
    while not queue.messages and time.monotonic() < deadline:
        _check_caller(connection)
        queue._messages_lock.wait(POLLING_INTERVAL)  # noqa: SLF001 (lets others in meanwhile: see `receive_message`)
    _check_caller(connection)


def _check_caller(connection: socket.socket) -> None:
    if has_hung_up(connection):
        raise ConnectionAbortedError("the caller of ReceiveMessage has hung up")


def receive_message(backend: SQSBackend, queue_name: str, count: int, timeout: int, *args: Any) -> Any:
    """Receive while nobody else receives, but for the time of waiting.

    moto gives a message to two who ask in the same moment, which SQS hardly ever does.
    """
    queue = backend.get_queue(queue_name)
    with queue._messages_lock:  # noqa: SLF001 (moto's own, by which it adds to the list)
        return _receive_message(backend, queue_name, count, _longest(queue, timeout), *args)


def _longest(queue: Queue, timeout: float) -> Any:
    """How long a poll of this queue waits that is to wait for so long; moto's types know whole seconds only."""
    return min(timeout, float(queue.tags.get(LONGEST_POLL, timeout)))


def delete_message(queue: Queue, receipt_handle: str) -> None:
    """Delete it while nobody else changes the list of messages.

    moto makes the list anew, without what is deleted and without a lock: what others send meanwhile would be lost, and
    what they delete would be there again.
    """
    with queue._messages_lock:  # noqa: SLF001 (moto's own, by which it adds to the list)
        _delete_message(queue, receipt_handle)


def unix_time_millis() -> float:
    """As moto's, which makes three datetimes of each; most of its time goes into looking at the time."""
    return time.time() * 1000


def main() -> None:
    """Serve on a free port of 127.0.0.1."""
    moto.sqs.models.unix_time_millis = unix_time_millis  # type: ignore[assignment, attr-defined]
    Queue.wait_for_messages = wait_for_messages  # type: ignore[method-assign, assignment]
    SQSBackend.receive_message = receive_message  # type: ignore[method-assign, assignment]
    Queue.delete_message = delete_message  # type: ignore[method-assign, assignment]
    # Both are asked the same at each request, and look through folders or dozens of patterns for the answer.
    moto.sqs.models.camelcase_to_underscores = cache(camelcase_to_underscores)  # type: ignore[attr-defined]
    application = DomainDispatcherApplication(create_backend_app)
    application.get_backend_for_host = cache(application.get_backend_for_host)  # type: ignore[method-assign]
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=QuietRequestHandler)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
