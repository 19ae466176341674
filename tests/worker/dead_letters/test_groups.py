"""Groups of dead letters: the same reason and detail, how many, since when."""

import pytest

from tests.support.messages import dead_letter
from worker.dead_letters.groups import HOUR, HOURS, groups_of

NOW = 1_000_000.0  # seconds since the epoch

NONE = (0,) * HOURS


def test_there_are_no_groups_of_nothing() -> None:
    assert groups_of([], NOW) == []


def test_a_group_has_one_reason_and_one_detail() -> None:
    letters = [
        dead_letter(failure_reason=reason, failure_detail=detail)
        for reason, detail in [("invalid_event", "a"), ("invalid_event", "b"), ("unknown_author", "a")]
    ]

    groups = groups_of([*letters, dead_letter(), *letters[:1]], NOW)

    assert [(group.reason, group.detail, group.messages) for group in groups] == [
        ("invalid_event", "a", 2),
        ("invalid_event", "b", 1),
        ("unknown_author", "a", 1),
        ("worker_crashed", "", 1),
    ]


@pytest.mark.parametrize("details", ["aabbbbcccde", "edcccbbbbaa", "eadcbcabbcb"])
def test_the_largest_group_is_first_however_they_come(details: str) -> None:
    groups = groups_of([dead_letter(failure_detail=detail) for detail in details], NOW)

    assert [group.detail for group in groups] == ["b", "c", "a", "d", "e"]


def test_a_group_knows_its_oldest_and_its_newest() -> None:
    [group] = groups_of([dead_letter(sent_at=NOW - ago) for ago in (50, 7000, 600)], NOW)

    assert (group.first_at, group.last_at) == (NOW - 7000, NOW - 50)


def test_each_of_the_last_hours_has_its_number_and_the_last_one_is_last() -> None:
    ages = [0, 10, HOUR - 1, HOUR, 5 * HOUR, HOURS * HOUR - 1, HOURS * HOUR, 300 * HOUR]

    [group] = groups_of([dead_letter(sent_at=NOW - age) for age in ages], NOW)

    assert group.messages == len(ages)
    assert group.last_hour == 3
    assert {HOURS - 1 - at: number for at, number in enumerate(group.hourly) if number} == {0: 3, 1: 1, 5: 1, 23: 1}
    assert len(group.hourly) == HOURS


def test_what_was_sent_after_now_is_of_the_last_hour() -> None:
    """SQS's clock is not ours, and a queue grows while it is read."""
    [group] = groups_of([dead_letter(sent_at=NOW + 5)], NOW)

    assert group.hourly == (*NONE[:-1], 1)
