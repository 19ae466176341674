"""The count of bytecode by which `make bench-check` compares."""

from pathlib import Path

import pytest

from benchmarks import bytecode
from benchmarks.messages import sign_up
from benchmarks.run import CheckFailed
from tests.support.postgres import Postgres

ROOT = Path(__file__).parents[2]


def test_a_row_that_is_missing_is_noticed(postgres: Postgres) -> None:
    with pytest.raises(CheckFailed, match="1 rows of 2, 0 not deleted"):
        bytecode.count(postgres, [sign_up()] * 2)


@pytest.mark.parametrize(("now", "regression"), [(900.0, False), (1009.0, False), (1011.0, True)])
def test_more_than_the_tolerance_is_a_regression(now: float, *, regression: bool) -> None:
    assert bytecode.is_regression(now, before=1000.0) is regression


def test_a_figure_of_the_image_is_recorded() -> None:
    assert any(f"python:{version}." in (ROOT / "Dockerfile").read_text() for version in bytecode.recorded())
