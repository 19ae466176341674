"""Command for mutants: see `main`."""

import argparse
import json
import queue
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.mutant import Mutant, NotApplicable
from tests.mutants.mutants import MUTANTS
from tests.mutants.tree import Tree
from tests.mutants.trial import NoTests, Result, Trials

ROOT = Path(__file__).parents[2]
LEAST = 90  # per cent that must be caught

DESCRIPTION = """\
Prove that the tests bite: put one mistake after the other into the code, and see whether a test fails.

The mistakes (mutants) are in tests/mutants/*_mutants.py, each with what an operator would suffer by it. For each one
the tests that are the nearest run first, and if they pass, the rest of `make test`; the first failure catches it. All
of this happens in copies of the working tree, as it is now: neither the code nor the environment is touched.
"""

EPILOG = """\
A mutant that survives is a promise that nobody keeps: write the test that fails with it. To see what it does, make its
change by hand. Where no test can tell (the change is none, or costs time alone), the mutant says so in `survives`, and
only the nearest tests try it.

The exit status is 1 if fewer than 90 % are caught, or one survives that does not say why; 2 if a mutant no longer fits
the code, which `make test` says too.

Examples:
  make mutants                            all of them; with two jobs, and nothing else on two cores, half an hour
  make mutants ONLY=turns                 those with "turns" in their path or fault
  make mutants ONLY=sql ARGS=--nearest    without the rest of the tests, which takes minutes for one that survives
"""


def main() -> int:
    """Run as `python -m tests.mutants`; returns the exit status."""
    options = _parser().parse_args()
    mutants = [m for m in MUTANTS if options.only.lower() in f"{m.path} {m.fault}".lower()]
    try:
        _check(mutants)
        results, broken = _run(mutants, options)
    except (NotApplicable, NoTests) as error:
        sys.stderr.write(f"mutants: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    if not options.json:
        _say(_summary(results, broken))
    return _status(results)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="only mutants with this in their path or fault")
    parser.add_argument("--jobs", metavar="N", type=int, default=2, help="so many at the same time (default: 2)")
    parser.add_argument("--nearest", action="store_true", help="only the nearest tests, not the rest of `make test`")
    parser.add_argument("--json", action="store_true", help="one JSON object a line for each mutant, and no summary")
    return parser


def _check(mutants: Sequence[Mutant]) -> None:
    if not mutants:
        raise NotApplicable("there is no such mutant")
    for mutant in mutants:
        mutant.applied_to((ROOT / mutant.path).read_text())


def _run(mutants: Sequence[Mutant], options: argparse.Namespace) -> tuple[list[Result], set[str]]:
    """Each mutant's result, and the tests that fail without a mutant too."""
    trials = Trials(ROOT / "Makefile", rest=not options.nearest)
    results: list[Result] = []
    with _trees(min(options.jobs, len(mutants))) as trees, ThreadPoolExecutor(len(trees)) as executor:
        free: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        for tree in trees:
            free.put(tree)

        def run(mutant: Mutant) -> Result:
            tree = free.get()
            try:
                return trials.run(tree, mutant)
            finally:
                free.put(tree)

        futures = [executor.submit(run, mutant) for mutant in mutants]
        try:
            for future in as_completed(futures):
                results.append(future.result())
                _say(_line(results, len(mutants), options))
        finally:
            # If it is interrupted, nobody waits for what is under way.
            executor.shutdown(wait=False, cancel_futures=True)
            for tree in trees:
                tree.close()
    return results, trials.broken


@contextmanager
def _trees(count: int) -> Iterator[list[Tree]]:
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        yield [Tree(ROOT, Path(folder, str(number)).resolve()) for number in range(count)]


def _line(results: Sequence[Result], total: int, options: argparse.Namespace) -> str:
    """What became of the last one."""
    result = results[-1]
    mutant = result.mutant
    if options.json:
        about = {"path": mutant.path, "fault": mutant.fault, "caught_by": result.caught or None}
        return json.dumps({**about, "survives": mutant.survives or None, "seconds": round(result.seconds, 1)})
    outcome = f"caught by {result.caught}" if result.caught else "SURVIVED"
    return f"[{len(results):3}/{total}] {mutant.path}: {mutant.fault}\n          {outcome} ({result.seconds:.0f} s)"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _summary(results: Sequence[Result], broken: set[str]) -> str:
    caught = [result for result in results if result.caught]
    survivors = [result.mutant for result in results if not result.caught]
    lines = ["", f"{len(caught)} of {len(results)} caught ({_per_cent(results):.0f} %)"]
    lines += [f"survives: {m.path}: {m.fault}\n  known: {m.survives}" for m in survivors if m.survives]
    lines += [f"survives: {m.path}: {m.fault}\n  no test fails with\n{m.new}" for m in survivors if not m.survives]
    lines += [f"left out, as it fails without a mutant too: {test}" for test in sorted(broken)]
    return "\n".join(lines)


def _per_cent(results: Sequence[Result]) -> float:
    return 100 * sum(bool(result.caught) for result in results) / len(results)


def _status(results: Sequence[Result]) -> int:
    """1 if one survives that does not say why, or too many do; of a few mutants, a few may be many."""
    unexplained = any(not result.caught and not result.mutant.survives for result in results)
    too_few = len(results) == len(MUTANTS) and _per_cent(results) < LEAST
    return 1 if unexplained or too_few else 0


if __name__ == "__main__":
    sys.exit(main())
