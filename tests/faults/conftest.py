"""Everything in this folder breaks the system on purpose: marked `faults`, and run by `make faults`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import Queues

HERE = Path(__file__).parent

# For much suffering: what somebody lost is back soon, and there are receives for whatever a test does to a message.
QUEUES = pytest.mark.queues(visibility_timeout=2, max_receive_count=50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)
            if item.get_closest_marker("queues") is None:
                item.add_marker(QUEUES)


@pytest.fixture
def sqs(queues: Queues) -> Iterator[FaultProxy]:
    """In front of the queues' SQS."""
    with FaultProxy(queues.endpoint_url, seed=7) as proxy:
        yield proxy
