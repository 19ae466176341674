"""Trial: whether any test finds a mutant."""

import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant
from tests.mutants.tree import Outcome, Tree

# The tests that are the nearest to what is below a path; the first one that fits.
_NEAREST = {
    "worker/pipeline/": ["tests/worker/pipeline"],
    "worker/assembly.py": ["tests/worker/pipeline"],
    "worker/aws/": ["tests/worker/aws", "tests/worker/pipeline"],
    "db/tables/": ["tests/db/tables", "tests/db"],
    "db/sql/": ["tests/db"],
    "db/": ["tests/db"],
    "trigger_lambda/": ["tests/trigger_lambda"],
    "signup_sync/": ["tests/worker/aws/test_sqs.py", "tests/signup_sync", "tests/worker/pipeline"],
}

# What `make test` leaves out.
_LONG = re.compile(r"^LONG := (.+)$", re.MULTILINE)


class NoTests(Exception):
    """The tests cannot be run, whether there is a mutant or not."""


@dataclass(frozen=True, slots=True)
class Result:
    """`caught` says by what: a test, or that the tests hang; it is empty if the mutant survives."""

    mutant: Mutant
    caught: str
    seconds: float


class Trials:
    """Safe to use from any thread, with a tree for each."""

    def __init__(self, makefile: Path, *, rest: bool) -> None:
        """Without `rest` the nearest tests are all there are."""
        found = _LONG.search(makefile.read_text())
        if found is None:
            raise NoTests(f"{makefile} does not say by LONG what `make test` leaves out")
        self._marks = f"not ({found[1]})"
        self._rest = rest
        self._lock = threading.Lock()  # guards what follows
        self._sound: set[str] = set()  # tests that pass without a mutant
        self.broken: set[str] = set()  # tests that fail without a mutant, too

    def run(self, tree: Tree, mutant: Mutant) -> Result:
        """The nearest tests first, and then all others. Raises `NoTests`."""
        began = time.monotonic()
        nearest = next((tests for path, tests in _NEAREST.items() if mutant.path.startswith(path)), [])
        caught = self._caught(tree, mutant, nearest) if nearest else ""
        if not caught and self._rest:
            others = [f"--ignore={test}" for test in ("tests/mutants", *nearest)]
            caught = self._caught(tree, mutant, ["--numprocesses=4", "--dist=worksteal", "tests", *others])
        return Result(mutant, caught, time.monotonic() - began)

    def _caught(self, tree: Tree, mutant: Mutant, tests: list[str]) -> str:
        """What finds the mutant; a test that fails without it too finds nothing, and is left out."""
        while True:
            deselected = [f"--deselect={test}" for test in sorted(self.broken)]
            args = ["-m", self._marks, *tests, *deselected]
            outcome = self._with(tree, mutant, args)
            if outcome.passed:
                return ""
            if outcome.hangs:
                return "all tests: they hang"
            if not outcome.failed:
                self._check_collection(tree, args)
                return "all tests: they cannot be collected"
            if self._is_sound(tree, outcome.failed):
                return outcome.failed

    @staticmethod
    def _with(tree: Tree, mutant: Mutant, args: list[str]) -> Outcome:
        file = tree.root / mutant.path
        original = file.read_text()
        mutant.apply(tree.root)
        tree.forget_compiled(mutant.path)
        try:
            return tree.test(*args)
        finally:
            file.write_text(original)
            tree.forget_compiled(mutant.path)

    def _is_sound(self, tree: Tree, test: str) -> bool:
        """Whether the test passes without the mutant."""
        if test not in self._sound and test not in self.broken:
            passes = tree.test(test).passed
            with self._lock:
                (self._sound if passes else self.broken).add(test)
        return test in self._sound

    @staticmethod
    def _check_collection(tree: Tree, args: list[str]) -> None:
        if not tree.test("--collect-only", *args).passed:
            raise NoTests(f"these tests cannot be collected: {' '.join(args)}")
