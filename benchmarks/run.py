"""One run: a full queue, one contestant, and what it took until the queue was empty."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from benchmarks import control_group
from benchmarks.contestants import PEER_PYTHON, SCRIPTS, Contestant
from benchmarks.database import Database
from benchmarks.messages import sign_ups
from benchmarks.process_tree import PeakMemory, cpu_seconds, members, wait_until_idle
from benchmarks.queue_server import QueueServer, send
from benchmarks.tls_proxy import TlsProxy
from tests.support.orphan_guard import OrphanGuard
from tests.support.sqs import Queues, aws_environment
from tests.support.wait import wait_until

START_TIMEOUT = 60.0  # seconds
RUN_TIMEOUT = 600.0  # seconds
STOP_TIMEOUT = 40.0  # seconds
POLLING_INTERVAL = 0.02  # seconds


class CheckFailed(Exception):
    """A run whose result cannot be right."""


@dataclass(frozen=True)
class Result:
    """Of one run. CPU is in microseconds a message, without the start; calls and commits are a message too.

    `handshakes` are those of TLS, with those of the start.
    """

    contestant: str
    messages: int
    per_second: float
    cpu: float
    calls: float
    commits: float
    megabytes: float
    server_load: float  # cores that the queue server used
    database_load: float  # cores that Postgres used
    load: float  # cores that the contestant used
    handshakes: int = 0


def environment_of(
    contestant: Contestant, server: QueueServer, database: Database, queues: Queues, queue_url: str
) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        **aws_environment(server.url),
        "DATABASE_URL": database.url,
        "QUEUE_URL": queue_url,
        "DLQ_URL": queues.dlq_url,
        "PYTHONDONTWRITEBYTECODE": "1",
        **contestant.environment,
    }


@contextmanager
def process(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A contestant, which is stopped at the end."""
    with tempfile.TemporaryFile() as output:
        running = subprocess.Popen(  # noqa: S603 (our own commands)
            command, cwd=SCRIPTS, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        guard = OrphanGuard(running.pid)
        try:
            yield running
        except Exception as error:
            output.seek(0)
            error.add_note(output.read()[-3000:].decode())
            raise
        finally:
            running.terminate()
            try:
                running.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
            guard.close()


def publish(contestant: Contestant, environment: Mapping[str, str], queues: Queues, bodies: Sequence[str]) -> None:
    """Put the events into the queue, in the form that the contestant expects."""
    if contestant.publisher is None:
        send(queues, environment["QUEUE_URL"], bodies)
        return
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as events:
        events.write("\n".join(bodies))
        events.flush()
        command = [PEER_PYTHON, str(SCRIPTS / "publish.py"), contestant.publisher]
        subprocess.run(command, cwd=SCRIPTS, env={**environment, "EVENTS": events.name}, check=True)  # noqa: S603 (our own)


def measure(
    contestant: Contestant,
    server: QueueServer,
    database: Database,
    messages: int,
    *,
    rows: int = 0,
    latency: int = 0,
    tls: TlsProxy | None = None,
    share: float | None = None,
) -> Result:
    """Run a contestant over a queue with so many messages. Raises `CheckFailed` if the result is not right.

    `rows` are in the table before; `latency` is what a call to SQS takes longer, in milliseconds; `tls` is before the
    queue server; `share` is what each of its processes has of a core.
    """
    database.reset(rows)
    queues = server.queues()
    queue_url = queues.events_url if contestant.publisher is None else server.named_queue(queues)
    environment = environment_of(contestant, server, database, queues, queue_url)
    server.shut()
    publish(contestant, environment, queues, sign_ups(messages))
    if tls:
        environment |= tls.environment
        handshakes = tls.handshakes
    with ExitStack() as stack:
        stack.enter_context(server.latency(latency))
        running = stack.enter_context(process(contestant.command, environment))
        wait_until(
            lambda: server.counts(queue_url).waiting >= contestant.receivers,
            START_TIMEOUT,
            f"{contestant.name} does not receive",
        )
        wait_until_idle([running.pid])
        if share is not None:
            for pid in members(running.pid)[-contestant.receivers :]:
                stack.enter_context(control_group.share(share)).add([pid])
        result = _emptied(contestant, server, database, queue_url, running, messages)
    if tls:
        result = replace(result, handshakes=tls.handshakes - handshakes)
    _check(result, contestant, database, queues)
    queues.close()
    return result


def _emptied(
    contestant: Contestant,
    server: QueueServer,
    database: Database,
    queue_url: str,
    running: subprocess.Popen[bytes],
    messages: int,
) -> Result:
    cpu, server_cpu, database_cpu = cpu_seconds(running.pid), cpu_seconds(server.pid), cpu_seconds(database.pid)
    calls_before = server.counts(queue_url).calls
    with PeakMemory([running.pid]) as memory:
        server.open()
        deadline = time.monotonic() + RUN_TIMEOUT
        while (counts := server.counts(queue_url)).deleted < messages:
            if running.poll() is not None:
                raise CheckFailed(f"{contestant.name} has ended after {counts.deleted} of {messages} messages")
            if time.monotonic() > deadline:
                raise CheckFailed(f"{contestant.name}: {counts.deleted} of {messages} messages after {RUN_TIMEOUT:g} s")
            time.sleep(POLLING_INTERVAL)
        cpu = cpu_seconds(running.pid) - cpu
        server_cpu = cpu_seconds(server.pid) - server_cpu
        database_cpu = cpu_seconds(database.pid) - database_cpu
    calls = sum((counts.calls - calls_before).values())
    return Result(
        contestant=contestant.name,
        messages=messages,
        per_second=messages / counts.seconds,
        cpu=1e6 * cpu / messages,
        calls=calls / messages,
        commits=database.written().commits / messages,
        megabytes=memory.megabytes,
        server_load=server_cpu / counts.seconds,
        database_load=database_cpu / counts.seconds,
        load=cpu / counts.seconds,
    )


def _check(result: Result, contestant: Contestant, database: Database, queues: Queues) -> None:
    expected = result.messages if contestant.writes else 0
    if (rows := database.written().rows) != expected:
        raise CheckFailed(f"{contestant.name}: {rows} rows instead of {expected}")
    if dead := queues.dead_letter_count():
        raise CheckFailed(f"{contestant.name}: {dead} dead letters")
    if sum(queues.counts()):
        raise CheckFailed(f"{contestant.name}: the queue is not empty")
