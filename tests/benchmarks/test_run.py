"""A measurement checks what it measures: the benchmark's own parts with fauxqs and Postgres."""

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks import control_group
from benchmarks.contestants import BAR, WORKER, Contestant, workers
from benchmarks.database import Database
from benchmarks.queue_server import QueueServer
from benchmarks.run import CheckFailed, measure
from benchmarks.tls_proxy import TlsProxy
from tests.e2e.node_parts import why_missing

pytestmark = [pytest.mark.node, pytest.mark.skipif(why_missing() is not None, reason=why_missing() or "")]

MESSAGES = 200
# There is one port by default, and somebody may run a worker here.
QUIET_WORKER = replace(WORKER, environment={"ADMIN_ADDRESS": "off"})


@pytest.fixture(scope="module")
def server() -> Iterator[QueueServer]:
    with QueueServer() as server:
        yield server


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with Database() as database:
        yield database


def test_a_run_counts_what_was_done(server: QueueServer, database: Database) -> None:
    result = measure(QUIET_WORKER, server, database, MESSAGES)

    assert database.written().rows == MESSAGES
    assert result.messages == MESSAGES
    assert 0.2 <= result.calls < 1.0  # ten at a time, and some polls of a queue that is nearly empty
    assert 0 < result.commits < 1.0
    assert result.cpu > 0
    assert result.megabytes > 10


def test_handshakes_are_counted_and_few(server: QueueServer, database: Database) -> None:
    with TlsProxy(server) as tls:
        result = measure(QUIET_WORKER, server, database, MESSAGES, tls=tls)

    assert 0 < result.handshakes < MESSAGES * result.calls


@pytest.mark.skipif(not control_group.is_possible("cpu"), reason="control groups for CPU time cannot be written")
def test_a_process_gets_no_more_than_its_share(server: QueueServer, database: Database) -> None:
    result = measure(replace(workers(2), environment=QUIET_WORKER.environment), server, database, 4000, share=0.1)

    assert result.load < 0.25


def test_rows_that_are_missing_are_noticed(server: QueueServer, database: Database) -> None:
    forgetful = replace(BAR, writes=True)  # it deletes what it never wrote

    with pytest.raises(CheckFailed, match=f"0 rows instead of {MESSAGES}"):
        measure(forgetful, server, database, MESSAGES)


def test_a_contestant_that_ends_is_noticed(server: QueueServer, database: Database) -> None:
    script = (
        "import boto3, os; boto3.client('sqs').receive_message(QueueUrl=os.environ['QUEUE_URL'], WaitTimeSeconds=1);"
        "print('I have had enough')"
    )
    weary = Contestant("weary", (sys.executable, "-c", script))

    with pytest.raises(CheckFailed, match="weary has ended after 0 of 200 messages") as caught:
        measure(weary, server, database, MESSAGES)

    assert "I have had enough" in "".join(caught.value.__notes__)


def test_old_rows_are_not_counted(server: QueueServer, database: Database) -> None:
    measure(QUIET_WORKER, server, database, MESSAGES, rows=1000)

    assert database.written().rows == MESSAGES
