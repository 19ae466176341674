"""How long a sign-up takes from send to commit, at a fixed rate."""

import json
import signal
import statistics
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.contestants import BAR, HERE, Contestant
from benchmarks.database import Database
from benchmarks.messages import sign_up
from benchmarks.process_tree import wait_until_idle
from benchmarks.queue_server import QueueServer
from benchmarks.run import START_TIMEOUT, CheckFailed, environment_of, process
from tests.support.sqs import Queues
from tests.support.wait import wait_until

SENDERS = 4  # threads
ROWS_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True)
class Latency:
    """Milliseconds; `delivery` is the queue's own part, to a bare receive."""

    contestant: str
    per_second: int
    p50: float
    p99: float
    delivery_p50: float
    delivery_p99: float


def measure_latency(
    contestant: Contestant, server: QueueServer, database: Database, per_second: int, seconds: float
) -> Latency:
    """Send at a steady rate for so long. Raises `CheckFailed` if not all messages become rows."""
    messages = int(per_second * seconds)
    delivery = _delivery_times(server, database, per_second, messages)
    database.reset()
    queues = server.queues()
    environment = environment_of(contestant, server, database, queues, queues.events_url)
    server.shut()
    with process(contestant.command, environment) as running:
        wait_until_receiving(contestant, server, queues, running.pid)
        send_steadily(queues, messages, per_second)
        database.wait_for_rows(messages, ROWS_TIMEOUT)
    times = database.latencies()
    if len(times) != messages or queues.dead_letter_count():
        raise CheckFailed(f"{contestant.name} at {per_second}/s: {len(times)} rows of {messages}")
    queues.close()
    return Latency(contestant.name, per_second, *_percentiles(times), *_percentiles(delivery))


def _delivery_times(server: QueueServer, database: Database, per_second: int, messages: int) -> list[float]:
    queues = server.queues()
    environment = {**environment_of(BAR, server, database, queues, queues.events_url), "LATENCIES": "1"}
    server.shut()
    with subprocess.Popen(BAR.command, cwd=HERE, env=environment, stdout=subprocess.PIPE) as running:  # noqa: S603 (ours)
        wait_until_receiving(BAR, server, queues, running.pid)
        send_steadily(queues, messages, per_second)
        wait_until(lambda: server.counts(queues.events_url).deleted == messages, ROWS_TIMEOUT, "messages are left")
        running.send_signal(signal.SIGTERM)
        output, _ = running.communicate()
    queues.close()
    times: list[float] = json.loads(output)
    return times


def wait_until_receiving(contestant: Contestant, server: QueueServer, queues: Queues, pid: int) -> None:
    """Wait until a contestant is ready, and let it receive."""
    url = queues.events_url
    wait_until(lambda: server.counts(url).waiting > 0, START_TIMEOUT, f"{contestant.name} does not receive")
    wait_until_idle([pid])
    server.open()


def send_steadily(queues: Queues, messages: int, per_second: int) -> None:
    """Send sign-ups of now at this rate."""
    numbers = iter(range(messages))
    lock = threading.Lock()
    began = time.monotonic()

    def send() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
            queues.client.send_message(QueueUrl=queues.events_url, MessageBody=sign_up())

    with ThreadPoolExecutor(SENDERS) as threads:
        for sender in [threads.submit(send) for _ in range(SENDERS)]:
            sender.result()


def _percentiles(times: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return cuts[49], cuts[98]
