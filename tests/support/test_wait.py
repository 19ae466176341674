import itertools

import pytest

from tests.support.wait import wait_until


def test_returns_what_the_condition_returned() -> None:
    answers = iter(["", "", "there"])

    assert wait_until(lambda: next(answers), timeout=5, message="never") == "there"


def test_fails_with_the_message_when_time_is_over() -> None:
    with pytest.raises(AssertionError, match=r"the row is missing \(waited 0.05 s\)"):
        wait_until(lambda: False, timeout=0.05, message="the row is missing")


def test_tries_once_more_after_the_deadline() -> None:
    tries = itertools.count()

    assert wait_until(lambda: next(tries) == 0 or next(tries), timeout=0, message="never")


def test_what_the_condition_raises_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 // 0, timeout=5, message="never")
