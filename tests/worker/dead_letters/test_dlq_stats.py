"""`signup-sync dlq stats`: groups of the same reason and detail, the largest first."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.dlq import Dlq, below_progress, people
from tests.support.events import sign_up

LONG = "data.display_name: string should have at least 1 character, which is longer than the line"


def test_a_group_is_a_line_of_fields_in_a_pipe(dlq: Dlq) -> None:
    dlq.fill(*people(3), reason="invalid_event", detail="data.handle: no")
    dlq.fill(sign_up("ada"), reason=None)
    dlq.fill(sign_up("bob"), reason="invalid_event", detail="data.email: no")

    lines = [line.split("\t") for line in dlq.run("stats").stdout.splitlines()]

    assert [[*line[:4], line[5]] for line in lines[:3]] == [
        ["group", "invalid_event", "data.handle: no", "3", "3"],
        ["group", "invalid_event", "data.email: no", "1", "1"],
        ["group", "worker_crashed", "-", "1", "1"],
    ]
    assert all(line[4].endswith("s") for line in lines[:3])
    assert lines[3:-1] == [
        ["reason", "invalid_event", "4"],
        ["reason", "worker_crashed", "1"],
        ["type", "user.signed_up.v1", "5"],
        ["total", "", "5"],
    ]


def test_the_groups_are_objects_for_programs(dlq: Dlq) -> None:
    dlq.fill(*people(2), reason="invalid_event", detail="data.handle: no")
    dlq.fill(sign_up("ada"), reason=None)

    [stats] = dlq.json("stats")

    first, second = stats["groups"]
    since, last_at = (datetime.fromisoformat(first.pop(name)) for name in ("since", "last_at"))
    assert datetime.now(UTC) - timedelta(minutes=5) < since <= last_at < datetime.now(UTC) + timedelta(minutes=5)
    hourly = [0] * 23
    assert first == {
        "reason": "invalid_event",
        "detail": "data.handle: no",
        "messages": 2,
        "hourly": [*hourly, 2],
    }
    assert (second["reason"], second["detail"], second["hourly"]) == ("worker_crashed", None, [*hourly, 1])


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_group_is_whole_on_any_terminal(dlq: Dlq, columns: int) -> None:
    dlq.fill(*people(12), reason="rejected_by_database", detail=LONG)

    seen = dlq.run_on_terminal("stats", NO_COLOR="1", COLUMNS=str(columns))

    lines = below_progress(seen).splitlines()
    assert max(map(len, lines)) <= columns
    assert " ".join(lines[0].split()) == "REASON COUNT SINCE LAST HOUR DETAIL"
    reason, count, _, last_hour, *_ = lines[1].split()
    assert (reason, count, last_hour) == ("rejected_by_database", "12", "12")
    rows = lines[1 : lines.index("")]
    begin = lines[0].index("DETAIL")
    assert "".join(row[begin:] for row in rows).replace(" ", "") == LONG.replace(" ", "")
    assert lines[-2].split() == ["total", "12"]


def test_of_many_groups_the_largest_are_shown_and_the_others_counted(dlq: Dlq) -> None:
    dlq.fill(*people(2), reason="invalid_event", detail="the largest")
    for number in range(23):
        dlq.fill(sign_up("ada"), reason="invalid_event", detail=f"detail {number:02}")

    shown = dlq.run("stats").stdout.splitlines()

    groups = [line.split("\t")[2] for line in shown if line.startswith("group")]
    assert groups == ["the largest", *(f"detail {number:02}" for number in range(19))]
    assert "more groups: 4, of 4 dead letters (--json has all)" in shown
    assert "total\t\t25" in shown
    assert len(dlq.json("stats")[0]["groups"]) == 24


def test_a_detail_cannot_drive_the_terminal(dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"), detail="\u009b2J\rforged")

    seen = dlq.run_on_terminal("stats", NO_COLOR="1", COLUMNS="200")

    assert "\u009b" not in seen
    assert "\rforged" not in seen
    assert "\\u009b2J\\u000dforged" in seen
