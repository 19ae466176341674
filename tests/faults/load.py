"""A stream of events, and a fault of each kind for one call or message in a hundred: for load and soak."""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from tests.faults.model import Model
from tests.support.events import activity, sign_up
from tests.support.fault_proxy import ANY, FaultProxy
from tests.support.sqs import Queues, sqs_client
from tests.support.tcp_proxy import TcpProxy

SHARE = 0.01  # of each kind of fault
CUT_INTERVAL = 2.0  # seconds between two cuts of the database's connections, or two lost commits
BATCH_ACTIONS = ("DeleteMessageBatch", "SendMessageBatch", "ChangeMessageVisibilityBatch")
GROUP = 50  # messages: a user, two activities to reply to, and their replies


def events(model: Model) -> Iterator[str]:
    """Users, activities and replies, without end; of a hundred one is broken, and three come twice."""
    numbers = count(1)
    for group in count():
        author = f"user{group}"
        yield model.add(sign_up(author))
        parents = [str(uuid.UUID(int=next(numbers))) for _ in range(2)]
        yield from (model.add(activity(author, id=parent)) for parent in parents)
        for n in range(GROUP - 5):
            reply = activity(author, f"reply {n}", id=str(uuid.UUID(int=next(numbers))), reply_to=parents[n % 2])
            yield model.add(reply)
        yield reply
        yield model.add_broken(f"broken {group}") if group % 2 else sign_up(author)


def send(queues: Queues, model: Model, messages: int, *, per_second: float = float("inf"), ahead: int = 5000) -> None:
    """Send so many, at that rate, and never more than so many ahead of the worker."""
    stream = islice(events(model), messages)
    began, sent = time.monotonic(), 0
    while batch := list(islice(stream, 100)):
        queues.send(*batch)
        sent += len(batch)
        time.sleep(max(0.0, sent / per_second - (time.monotonic() - began)))
        while sent % 1000 < len(batch) and queues.counts()[0] > ahead:
            time.sleep(0.2)


def break_calls(sqs: FaultProxy) -> None:
    """From now on, of each kind of fault a hundredth."""
    sqs.fail(ANY, probability=SHARE)
    sqs.fail(ANY, status=503, code="ServiceUnavailable", probability=SHARE)
    sqs.fail(ANY, status=400, code="ThrottlingException", probability=SHARE)
    sqs.fail(ANY, status=403, code="ExpiredTokenException", probability=SHARE)
    sqs.drop_request(ANY, probability=SHARE)
    sqs.drop_response(ANY, probability=SHARE)
    sqs.cut_response(ANY, probability=SHARE)
    sqs.delay(ANY, 0.5, probability=SHARE)
    for action in BATCH_ACTIONS:
        sqs.fail_entries(action, 0.5, probability=SHARE)


@contextmanager
def breaking_database(network: TcpProxy) -> Iterator[None]:
    """Cut its connections now and then, and lose the answer to a commit."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(CUT_INTERVAL):
            network.lose_answers_to(b"COMMIT")
            if not stopped.wait(CUT_INTERVAL):
                network.cut()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


@dataclass(frozen=True)
class Sample:
    """What a process has at one moment."""

    rss: int  # KiB
    threads: int
    files: int
    connections: int  # to anywhere

    @classmethod
    def of(cls, pid: int) -> "Sample":
        """Read it from Linux's /proc."""
        process = Path(f"/proc/{pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        links = []
        for file in (process / "fd").iterdir():
            try:
                links.append(str(file.readlink()))
            except OSError:
                continue  # closed meanwhile
        sockets = sum(link.startswith("socket:") for link in links)
        return cls(int(status["VmRSS"].split()[0]), int(status["Threads"]), len(links), sockets)


@contextmanager
def sampling(pid: int, interval: float) -> Iterator[list[Sample]]:
    """Take a sample every so many seconds."""
    samples: list[Sample] = []
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(interval):
            samples.append(Sample.of(pid))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield samples
    finally:
        stopped.set()
        thread.join()


def sending(queues: Queues, model: Model, messages: int, *, per_second: float = float("inf")) -> threading.Thread:
    """Send in a thread, with a client of its own, and wait for it by `join`."""

    def run() -> None:
        with closing(sqs_client(queues.endpoint_url)) as client:
            own = Queues(queues.endpoint_url, queues.events_url, queues.dlq_url, client)
            send(own, model, messages, per_second=per_second)

    thread = threading.Thread(target=run)
    thread.start()
    return thread
