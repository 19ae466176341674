"""Trial: whether any test finds a mutant."""

import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant
from tests.mutants.tree import Outcome, Tree

_PIPELINE = "tests/worker/pipeline"
_RECONCILIATION = "tests/worker/reconciliation"

# The very nearest tests to what is below a path, and the folder in which all near ones are; the first path that fits.
_NEAREST: dict[str, tuple[list[str], list[str]]] = {
    "worker/pipeline/acknowledger": (["outcomes", "retries", "calls_failing", "stopping"], [_PIPELINE]),
    "worker/pipeline/adaptive_limit": (["adaptive_limit"], [_PIPELINE]),
    "worker/pipeline/batch_requests": (["calls_failing", "stopping"], [_PIPELINE]),
    "worker/pipeline/consumers": (["leases", "stopping", "batches", "pause"], [_PIPELINE]),
    "worker/pipeline/database_gate": (["database_gate"], [_PIPELINE]),
    "worker/pipeline/in_flight": (["in_flight"], [_PIPELINE]),
    "worker/pipeline/parked_messages": (["parked_messages"], [_PIPELINE]),
    "worker/pipeline/pause_switch": (["pause"], [_PIPELINE]),
    "worker/pipeline/retry_delay": (["retry_delay"], [_PIPELINE]),
    "worker/pipeline/turns": (["turns"], [_PIPELINE]),
    "worker/pipeline/visibility_heartbeat": (["leases"], [_PIPELINE]),
    "worker/pipeline/writer": (["outcomes", "batches"], [_PIPELINE]),
    "worker/assembly": (["stopping"], [_PIPELINE]),
    "worker/source_queue": (["activities_queue"], [_PIPELINE]),
    "worker/aws/": (["sqs"], ["tests/worker/aws", _PIPELINE]),
    "worker/reconciliation/changes": (["changes"], [_RECONCILIATION]),
    "worker/reconciliation/deletions": (["deletions"], [_RECONCILIATION]),
    "worker/reconciliation/": (["reconcile"], [_RECONCILIATION]),
    "worker/cli/commands/reconcile": (["reconcile"], [_RECONCILIATION]),
    "worker/cli/commands/erase": (["erase"], ["tests/worker/cli"]),
    "worker/dead_letters/person": (["erase"], ["tests/worker/cli"]),
    "worker/dead_letters/": (["source_queues"], ["tests/worker/dead_letters"]),
    "db/tables/users": (["users"], ["tests/db"]),
    "db/tables/activities": (["activities"], ["tests/db"]),
    "db/tables/written": (["outcomes", "lives"], [_PIPELINE]),
    "db/sql/update_users": (["users"], ["tests/db"]),
    "db/tables/deletions": (["deletions"], ["tests/db"]),
    "db/sql/find_profiles": (["changes"], [_RECONCILIATION]),
    "db/sql/list_users": (["deletions"], [_RECONCILIATION]),
    "db/sql/grant_reconciler": (["roles"], ["tests/db"]),
    "db/sql/lock_authors": (["deletions"], ["tests/db"]),
    "db/sql/delete_users": (["deletions"], ["tests/db"]),
    "db/sql/erase_activities": (["deletions"], ["tests/db"]),
    "db/sql/": (["users", "activities", "pool"], ["tests/db"]),
    "db/credentials": (["credentials"], ["tests/db"]),
    "db/pool": (["pool"], ["tests/db"]),
    "db/migrations/": (["migrations"], ["tests/db"]),
    "db/": (["credentials"], ["tests/db"]),
    "trigger_lambda/": (["handler"], ["tests/trigger_lambda", "tests/worker/telemetry"]),
    "signup_sync/": (["publisher"], ["tests/worker/aws", "tests/signup_sync", _PIPELINE]),
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
        """The nearest tests first, and then all others, unless it is known to survive them. Raises `NoTests`."""
        began = time.monotonic()
        nearest = nearest_tests(tree.root, mutant.path)
        stages = [nearest]
        if self._rest and not mutant.survives:
            without = [f"--ignore={test}" for test in ("tests/mutants", *nearest)]
            stages += [["--numprocesses=4", "--dist=worksteal", "tests", *without]]
        caught = next(filter(None, (self._caught(tree, mutant, stage) for stage in stages)), "")
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


def nearest_tests(root: Path, path: str) -> list[str]:
    """The files of tests, in the order in which they should run: one that tries everything for long is the last."""
    names, folders = next(tests for start, tests in _NEAREST.items() if path.startswith(start))
    files = [file for folder in folders for file in sorted((root / folder).glob("**/test_*.py"))]
    order = [*(f"test_{name}" for name in names), "", "test_simulation"]
    files.sort(key=lambda file: order.index(file.stem if file.stem in order else ""))
    return [str(file.relative_to(root)) for file in files]
