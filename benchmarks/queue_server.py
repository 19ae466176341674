"""fauxqs as the queue: it holds receives back until all is ready, and counts the calls."""

import json
import os
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.request import urlopen

from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

from tests.e2e.node_parts import PARTS, why_missing
from tests.e2e.server_process import ServerProcess
from tests.support.sqs import Queues, create_queues

SCRIPT = Path(__file__).with_name("queue_server.mjs")
VISIBILITY_TIMEOUT = 120  # seconds, so that nothing comes twice in a run


class Counts(NamedTuple):
    """What one queue was asked for since the gate was shut; `seconds` is from its opening to the last deletion."""

    calls: Counter[str]
    deleted: int
    seconds: float
    waiting: int


class QueueServer:
    """The server's process. `shut` makes every receive wait until `open`."""

    def __init__(self) -> None:
        if reason := why_missing():
            raise SystemExit(reason)
        command = ["node", "--input-type=module", "--eval", SCRIPT.read_text()]
        self._process = ServerProcess(command, cwd=PARTS, env=os.environ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    @property
    def url(self) -> str:
        return self._process.address

    @property
    def pid(self) -> int:
        return self._process.pid

    def queues(self) -> Queues:
        """A fresh pair of queues."""
        return create_queues(self.url, visibility_timeout=VISIBILITY_TIMEOUT, max_receive_count=5)

    def named_queue(self, queues: Queues) -> str:
        """A queue with a name that every peer takes."""
        return str(queues.client.create_queue(QueueName=f"peer{uuid.uuid4().hex[:12]}")["QueueUrl"])

    def shut(self) -> None:
        self._get("shut")

    def open(self) -> None:
        self._get("open")

    @contextmanager
    def latency(self, milliseconds: int) -> Iterator[None]:
        """Let each call take so much longer, as if the network did."""
        self._get(f"latency?milliseconds={milliseconds}")
        try:
            yield
        finally:
            self._get("latency?milliseconds=0")

    def counts(self, queue_url: str) -> Counts:
        answer = self._get("counts")
        queue = queue_url.rpartition("/")[2]
        calls = {key.split()[1]: count for key, count in answer["calls"].items() if key.split()[0] == queue}
        ended = answer["lastDelete"].get(queue, answer["openedAt"])
        seconds = (ended - answer["openedAt"]) / 1000
        return Counts(Counter(calls), answer["deleted"].get(queue, 0), seconds, answer["waiting"])

    def _get(self, action: str) -> Any:
        with urlopen(f"{self.url}/_bench/{action}") as answer:  # noqa: S310 (our own server)
            return json.load(answer)


def send(queues: Queues, queue_url: str, bodies: Sequence[str]) -> None:
    """Send messages, ten at a time."""
    for start in range(0, len(bodies), 10):
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies[start : start + 10])
        ]
        queues.client.send_message_batch(QueueUrl=queue_url, Entries=entries)
