"""Everything in this folder breaks the system on purpose: marked `faults`, and run by `make faults`."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import Queues, SqsServer, create_queues
from tests.worker.conftest import drain, start_worker

__all__ = ["drain", "start_worker"]

HERE = Path(__file__).parent

VISIBILITY_TIMEOUT = 2  # seconds: what somebody lost is back soon
MAX_RECEIVE_COUNT = 50  # receives: enough for whatever a test does to a message


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def queues(sqs_server: SqsServer) -> Iterator[Queues]:
    """A pair of queues for much suffering."""
    with closing(
        create_queues(
            sqs_server.endpoint_url, visibility_timeout=VISIBILITY_TIMEOUT, max_receive_count=MAX_RECEIVE_COUNT
        )
    ) as pair:
        yield pair


@pytest.fixture
def sqs(queues: Queues) -> Iterator[FaultProxy]:
    """In front of the queues' SQS."""
    with FaultProxy(queues.endpoint_url, seed=7) as proxy:
        yield proxy
