"""Tests that need more than the project's own dependencies say so by a marker, `tools`."""

import pytest

from tests.deploy.tools import why_missing


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run, and say what to do about it."""
    for marker in item.iter_markers("tools"):
        if missing := why_missing(marker.args[0]):
            pytest.skip(missing)
