"""Which names the audit log has."""

import pytest

from worker.console.identity.people import name_of


@pytest.mark.parametrize(
    "name",
    [
        "Grace",
        "grace.hopper@example.com",
        "Grace O'Hopper-Murray 2",
        "Грейс Хоппер",
        "Ζωή",
        "José",
        "山田たろう",
        "하나",
    ],
)
def test_names_of_many_scripts_are_names(name: str) -> None:
    assert name_of(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "<b>", "a\nb", "x" * 65, "-rf",
        "Gr\N{CYRILLIC SMALL LETTER A}ce",
        "Linus T\N{GREEK SMALL LETTER OMICRON}rvalds",
        "Grace\N{ZERO WIDTH SPACE}", "Gr\N{SOFT HYPHEN}ace", "\N{RIGHT-TO-LEFT OVERRIDE}ecarG", "\N{HANGUL FILLER}",
        "nobody", "Nobody", "\N{FULLWIDTH LATIN SMALL LETTER N}obody",
    ],
)  # fmt: skip
def test_what_could_be_taken_for_another_name_is_none(name: str) -> None:
    assert name_of(name) is None


def test_letters_that_only_look_different_are_the_same_name() -> None:
    assert name_of(" \N{FULLWIDTH LATIN CAPITAL LETTER G}race ") == "Grace"
    assert name_of("Jose\N{COMBINING ACUTE ACCENT}") == "José"
