"""Difference of two texts, for people, in a time that does not grow with the square of their length."""

import difflib
from collections.abc import Sequence
from itertools import takewhile
from operator import eq

MAX_COMPARED = 5000  # lines; difflib takes minutes for 20,000 that are chosen well
_CONTEXT = 3  # lines, as in any unified diff


def difference(before: str, after: str, names: tuple[str, str] = ("", "")) -> list[str]:
    """The lines of a unified diff, none if nothing changes.

    Of a text of more than `MAX_COMPARED` lines all between the first and the last line that changes is taken to have
    changed.
    """
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) <= MAX_COMPARED:
        return list(difflib.unified_diff(old, new, *names, lineterm=""))
    if old == new:
        return []
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    around = max(0, start - _CONTEXT)
    removed, added = old[start : len(old) - end], new[start : len(new) - end]
    following = old[len(old) - end :][:_CONTEXT]
    same = start - around + len(following)
    return [
        f"--- {names[0]}",
        f"+++ {names[1]}",
        f"@@ -{around + 1},{same + len(removed)} +{around + 1},{same + len(added)} @@",
        *(f" {line}" for line in old[around:start]),
        *(f"-{line}" for line in removed),
        *(f"+{line}" for line in added),
        *(f" {line}" for line in following),
    ]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines at the beginning are the same."""
    return sum(takewhile(bool, map(eq, one, other)))
