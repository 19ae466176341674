"""The pipeline, whole, in the tests' own process: see `tests.support.memory_system`."""

from collections.abc import Iterator

import pytest

from tests.support.memory_system import MemorySystem, memory_system


@pytest.fixture
def system(request: pytest.FixtureRequest) -> Iterator[MemorySystem]:
    """Queues and a database in memory; the marker `queues` says what the queues are like, as for `queues`."""
    marker = request.node.get_closest_marker("queues")
    with memory_system(**(marker.kwargs if marker else {})) as system:
        yield system
