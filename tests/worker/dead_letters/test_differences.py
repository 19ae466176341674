"""Differences, of short texts and of endless ones."""

import pytest

from worker.dead_letters.differences import MAX_COMPARED, difference


def test_a_difference_is_a_unified_diff() -> None:
    assert difference("a\nb\nc", "a\nx\nc", ("old", "new")) == [
        "--- old",
        "+++ new",
        "@@ -1,3 +1,3 @@",
        " a",
        "-b",
        "+x",
        " c",
    ]
    assert difference("a\nb", "a\nb") == []


@pytest.mark.parametrize("length", [MAX_COMPARED, MAX_COMPARED + 1, 20_000])
def test_one_line_that_changes_is_found_among_any_number(length: int) -> None:
    before = [f"line {number}" for number in range(length)]
    after = [*before[:4000], "changed", *before[4001:]]

    found = difference("\n".join(before), "\n".join(after))

    around = [[f" {line}" for line in before[start : start + 3]] for start in (3997, 4001)]
    assert found[2:] == ["@@ -3998,7 +3998,7 @@", *around[0], f"-{before[4000]}", "+changed", *around[1]]
    assert difference("\n".join(before), "\n".join(before)) == []


def test_what_differs_everywhere_is_no_work_for_minutes() -> None:
    before = [f"{number % 101}" for number in range(100_000)]
    after = [line if number % 2 else f"was {number}" for number, line in enumerate(before)]

    found = difference("\n".join(before), "\n".join(after))

    assert [line[1:] for line in found[3:] if line[0] in "- "] == before
    assert [line[1:] for line in found[3:] if line[0] in "+ "] == after
