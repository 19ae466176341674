"""Everything in this folder runs on a cluster of Citus: marked `citus`, and run by `make test-distributed`."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.citus)
            item.add_marker(pytest.mark.server)


@pytest.fixture
def database_url(distributed_url: str) -> str:
    """What a worker is given."""
    return distributed_url
