import re
import sys
import unicodedata
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signup_sync import characters
from signup_sync.characters import INVISIBLE, UNWANTED, clean, clean_name, has_address
from tests.support.texts import ADDRESSES, REAL_NAMES, UNSEEN
from tests.support.texts import UNWANTED as TRICKS
from trigger_lambda import handler

EVERYTHING = "".join(map(chr, range(sys.maxunicode + 1)))
JOINERS = "\u200c\u200d"


@cache
def in_class(of: str) -> set[str]:
    return set(re.findall(f"[{of}]", EVERYTHING))


@cache
def by_category() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for character in EVERYTHING:
        found.setdefault(unicodedata.category(character), set()).add(character)
    return found


def of_category(*categories: str) -> set[str]:
    return set().union(*(by_category()[category] for category in categories))


def test_what_is_unwanted_is_all_that_controls_formats_or_separates_and_nothing_that_is_read() -> None:
    unwanted = in_class(UNWANTED)

    assert unwanted >= of_category("Cc", "Cf", "Zl", "Zp") - set(JOINERS)
    assert unwanted <= of_category("Cc", "Cf", "Zl", "Zp", "Cn")  # Cn: not assigned (yet), for this Python


def test_what_is_invisible_is_no_mark_of_a_script_that_is_seen() -> None:
    """Of letters and marks only those that Unicode does not display by default, and the blank of Braille."""
    assert not in_class(UNWANTED) & in_class(INVISIBLE)
    assert {unicodedata.category(character) for character in in_class(INVISIBLE)} <= {"Mn", "Lo", "Cf", "So", "Cn"}


def test_the_lambda_has_the_same_classes() -> None:
    surrogates = of_category("Cs")

    assert set(handler._UNWANTED.findall(EVERYTHING)) == in_class(UNWANTED) | surrogates  # noqa: SLF001
    unseen = handler._VISIBLE.sub("", EVERYTHING)  # noqa: SLF001
    assert set(unseen) == in_class(INVISIBLE) | in_class(r"\s")


@pytest.mark.parametrize("name", REAL_NAMES)
def test_a_real_name_is_clean(name: str) -> None:
    assert clean_name(name) == name
    assert not has_address(name)


@pytest.mark.parametrize("trick", TRICKS)
def test_what_is_unwanted_is_left_out(trick: str) -> None:
    left = trick.lstrip("\x00\x1b\x9b\r\n\u2028\u202e\u2066\u200b\xad\ufeff\U000e0041")

    assert clean(f"ada{trick}") == f"ada{left}"


def test_line_ends_and_tabs_in_a_name_are_spaces() -> None:
    assert clean_name("Ada\r\nof\tthe\u2028Lovelaces\n") == "Ada of the Lovelaces"


@pytest.mark.parametrize("name", ["", *UNSEEN])
def test_a_name_that_cannot_be_seen_is_none(name: str) -> None:
    assert clean_name(name) == ""


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_is_recognised_however_it_is_written(name: str) -> None:
    assert has_address(name)


@given(st.text(st.characters(exclude_categories=())))
def test_what_is_cleaned_is_clean_and_a_name(text: str) -> None:
    name = clean_name(text)

    assert clean_name(name) == name
    assert not name or re.search(characters.NAME, name)
    assert re.search(characters.PLAIN, clean(text))
    assert len(clean(text)) <= len(text)


def test_all_that_is_normalized_to_an_at_is_looked_for() -> None:
    assert all(
        has_address(f"a{character}b") for character in EVERYTHING if "@" in unicodedata.normalize("NFKC", character)
    )
