"""A hundred thousand messages, and half an hour, with one percent of each fault: `make faults-long`.

FAULTS_MESSAGES and FAULTS_SOAK_SECONDS make them shorter. The figures are printed, and kept in docs/guarantees.md.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.e2e.node_parts import start_fauxqs, why_missing
from tests.faults.load import Sample, break_calls, breaking_database, sampling, send, sending
from tests.faults.model import Model
from tests.support.events import activity, sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.postgres import Postgres
from tests.support.sqs import Queues, create_queues
from tests.support.tables import names
from tests.support.tcp_proxy import TcpProxy
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker

MESSAGES = int(os.environ.get("FAULTS_MESSAGES") or 100_000)
SOAK = float(os.environ.get("FAULTS_SOAK_SECONDS") or 1800)  # seconds
SOAK_RATE = 100.0  # messages a second
FLOOD = 20_000  # messages
SETTLED = 1800.0  # seconds, far more than anything here takes
SAMPLES = 100  # of a soak

pytestmark = [
    pytest.mark.slow,
    pytest.mark.node,
    pytest.mark.skipif(why_missing() is not None, reason=str(why_missing())),
]


@pytest.fixture
def queues() -> Iterator[Queues]:
    """On fauxqs: moto is too slow for long queues."""
    with (
        start_fauxqs() as server,
        closing(create_queues(server.address, visibility_timeout=10, max_receive_count=200)) as pair,
    ):
        yield pair


def settle(queues: Queues, since: float) -> float:
    """Wait until the queue is empty; seconds since then."""
    wait_until(lambda: not sum(queues.counts()), SETTLED, "the queue is not empty")
    return time.monotonic() - since


def tell(figures: str) -> None:
    """For docs/guarantees.md."""
    sys.stdout.write(f"\nFIGURE {figures}\n")


def assert_exact(queues: Queues, database_url: str, model: Model) -> None:
    model.assert_in(database_url)
    assert {letter.body for letter in queues.dead_letters()} == model.broken


def test_a_hundred_thousand_messages_with_a_hundredth_of_each_fault(
    queues: Queues, postgres: Postgres, database_url: str, start_worker: StartWorker
) -> None:
    model = Model()
    with TcpProxy(postgres.port) as network, FaultProxy(queues.endpoint_url, seed=1) as sqs:
        workers = [
            start_worker(endpoint_url=sqs.endpoint_url, database_url=network.through(database_url), LOG_LEVEL="info")
            for _ in range(2)
        ]
        began = time.monotonic()
        break_calls(sqs)
        with breaking_database(network):
            send(queues, model, MESSAGES)
            seconds = settle(queues, began)
        calls = len(sqs.log)

    assert_exact(queues, database_url, model)
    assert all(worker.running for worker in workers)
    outages = sum(len(worker.events("paused")) for worker in workers)
    dead = queues.dead_letter_count()
    tell(f"{MESSAGES} messages in {seconds:.0f} s, {calls} calls, {outages} outages, {dead} dead letters")


def test_half_an_hour_with_faults_leaves_memory_threads_and_files_as_they_were(
    queues: Queues, postgres: Postgres, database_url: str, start_worker: StartWorker
) -> None:
    model = Model()
    with TcpProxy(postgres.port) as network, FaultProxy(queues.endpoint_url, seed=2) as sqs:
        worker = start_worker(
            endpoint_url=sqs.endpoint_url, database_url=network.through(database_url), LOG_LEVEL="info"
        )
        break_calls(sqs)
        with breaking_database(network), sampling(worker.pid, SOAK / SAMPLES) as samples:
            send(queues, model, int(SOAK * SOAK_RATE), per_second=SOAK_RATE)
            settle(queues, time.monotonic())
        assert worker.running

    assert_exact(queues, database_url, model)
    third = len(samples) // 3
    early, late = samples[third : 2 * third], samples[2 * third :]
    tell(f"{len(model.activities)} activities in {SOAK:.0f} s; middle third {_range(early)}; last third {_range(late)}")
    # In the middle third all is warm; what still grows then grows for ever.
    assert max(s.rss for s in late) < 1.1 * max(s.rss for s in early)
    assert max(s.threads for s in late) <= max(s.threads for s in early) + 2
    assert max(s.files for s in late) <= max(s.files for s in early) + 5


def _range(samples: list[Sample]) -> str:
    ranges = {
        name: sorted(getattr(sample, name) for sample in samples) for name in ("rss", "threads", "files", "connections")
    }
    return ", ".join(f"{name} {values[0]} to {values[-1]}" for name, values in ranges.items())


@pytest.mark.parametrize("kind", ["invalid", "of nobody", "large"])
def test_how_long_a_flood_delays_somebody_else_s_sign_up(
    queues: Queues, database_url: str, start_worker: StartWorker, kind: str
) -> None:
    """The figure is the time from the sign-up's send to its row, behind a flood that was sent before."""
    flood = {
        "invalid": lambda n: f"broken {n}",
        "of nobody": lambda n: activity(f"nobody{n}"),
        "large": lambda n: sign_up(f"large{n}", email="x" * 50_000),
    }[kind]
    number = FLOOD // 20 if kind == "large" else FLOOD
    queues.send(*map(flood, range(number)))
    started = time.monotonic()
    start_worker(LOG_LEVEL="info")
    queues.send(sign_up("victim"))

    wait_until(lambda: "victim" in names(database_url), SETTLED, "the sign-up is not there")

    tell(f"behind {number} messages ({kind}): {time.monotonic() - started:.1f} s, the worker's start included")
    assert "victim" in names(database_url)


def test_a_flood_sent_while_people_sign_up(queues: Queues, database_url: str, start_worker: StartWorker) -> None:
    """A flood as fast as one publisher can send; the longest that a sign-up of somebody else took meanwhile."""
    start_worker(LOG_LEVEL="info")
    flood = sending(queues, Model(), FLOOD)
    longest, people = 0.0, 0
    while flood.is_alive():
        sent = time.monotonic()
        queues.send(sign_up(f"victim{people}", handle=f"victim{people}"))
        wait_until(lambda: f"victim{people}" in names(database_url), SETTLED, "the sign-up is not there")  # noqa: B023
        longest, people = max(longest, time.monotonic() - sent), people + 1
    flood.join()
    tell(f"{people} sign-ups during a flood of {FLOOD}: the slowest took {longest:.1f} s")
    assert people > 0
