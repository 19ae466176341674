"""The mutants are of the code as it is; whether tests find them is for `make mutants` to say."""

from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant, NotApplicable
from tests.mutants.mutants import MUTANTS
from tests.mutants.trial import nearest_tests

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.path}: {mutant.fault}")
def test_each_mutant_is_one_change_of_the_code(mutant: Mutant) -> None:
    text = (ROOT / mutant.path).read_text()

    mutated = mutant.applied_to(text)

    assert mutated != text
    if mutant.path.endswith(".py"):
        compile(mutated, mutant.path, "exec")
    assert nearest_tests(ROOT, mutant.path)


def test_no_two_mutants_are_the_same() -> None:
    assert len({(mutant.path, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("text", ["a = 2", "a = 1\na = 1"])
def test_what_is_not_there_once_is_refused(text: str) -> None:
    with pytest.raises(NotApplicable, match="instead of once"):
        Mutant("a.py", "a = 1", "a = 3", "nothing").applied_to(text)
