import pytest

from tests.support.once import once


def test_what_was_made_is_not_made_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    made: list[str] = []

    def make() -> str:
        made.append("made")
        return "é\n"

    assert [once(tmp_path_factory, "test-of-once", make) for _ in range(2)] == ["é\n"] * 2
    assert made == ["made"]


def test_what_could_not_be_made_is_tried_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    def fail() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        once(tmp_path_factory, "test-of-failure", fail)

    assert once(tmp_path_factory, "test-of-failure", lambda: "made") == "made"
