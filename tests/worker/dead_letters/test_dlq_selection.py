"""Which dead letters are meant, and what is read from them."""

import json
from collections.abc import Iterable

import pytest

from tests.support.events import activity, sign_up
from tests.support.messages import dead_letter as letter
from worker.aws.sqs import Received
from worker.dead_letters.dead_letter import Match, Selection


@pytest.mark.parametrize(
    ("selection", "meant"),
    [
        (Selection(), True),
        (Selection(ids=frozenset({"1"})), True),
        (Selection(ids=frozenset({"source", "x"})), True),
        (Selection(ids=frozenset({"ada"})), True),
        (Selection(ids=frozenset({"x"})), False),
        (Selection(reasons=frozenset({"invalid_event"})), True),
        (Selection(reasons=frozenset({"worker_crashed"})), False),
        (Selection(detail="data.handle"), True),
        (Selection(detail=""), True),
        (Selection(detail="handle"), False),
        (Selection(detail="data.handle: no, neither"), False),
        (Selection(types=frozenset({"user.signed_up.v1"})), True),
        (Selection(types=frozenset({"activity.created.v1"})), False),
        (Selection(sent_before=1000.0), True),
        (Selection(sent_before=999.0), False),
        (Selection(sent_after=1000.0), True),
        (Selection(sent_after=1001.0), False),
        (Selection(text="ADA@example"), True),
        (Selection(text="zoë"), True),
        (Selection(text="bob"), False),
        (Selection(reasons=frozenset({"invalid_event"}), text="bob"), False),
    ],
)
def test_all_that_is_given_has_to_match(selection: Selection, meant: bool) -> None:
    body = sign_up("ada", display_name="Zoë")  # escaped, as json.dumps does
    given = letter(body, failure_reason="invalid_event", failure_detail="data.handle: no", source_message_id="source")

    assert selection.matches(given) is meant


@pytest.mark.parametrize(
    ("match", "meant"),
    [
        (Match(("data", "display_name"), ""), True),
        (Match(("data", "display_name"), '""'), True),
        (Match(("data", "display_name"), "", part=True), True),
        (Match(("data", "handle"), ""), False),
        (Match(("data", "handle"), "Ada"), False),
        (Match(("data", "handle"), "AD", part=True), True),
        (Match(("data", "age"), "42"), True),
        (Match(("data", "age"), "4", part=True), True),
        (Match(("data", "age"), "4"), False),
        (Match(("data", "known"), "true"), True),
        (Match(("data", "gone"), "null"), True),
        (Match(("data", "missing"), "null"), False),
        (Match(("data", "handle", "x"), "ada"), False),
        (Match(("type",), "Zoë"), True),
        (Match(("data", "list"), '["ö"]'), True),
    ],
)
def test_a_member_is_meant_by_its_value_however_the_body_is_written(match: Match, meant: bool) -> None:
    data = {"display_name": "", "handle": "ada", "age": 42, "known": True, "gone": None, "list": ["ö"]}
    event = {"type": "Zoë", "data": data}

    for text in (json.dumps(event), json.dumps(event, indent=2, ensure_ascii=False)):
        assert Selection(matches_all=(match,)).matches(letter(text)) is meant
    assert not Selection(matches_all=(match,)).matches(letter("no JSON"))


def test_what_is_narrowed_in_any_way_is_not_everything() -> None:
    assert Selection().is_everything
    assert not Selection(detail="data.handle").is_everything
    assert not Selection(limit=1).is_everything


def test_the_first_eight_characters_of_an_id_are_as_good_as_all() -> None:
    letters = [letter(id="5fea7756-0ea4-451a-a703-a558b933e274"), letter(id="5fea0000-0ea4-451a-a703-a558b933e274")]

    chosen = Selection(ids=frozenset({"5fea7756"})).choose(letter.message for letter in letters)

    assert [found.id for found in chosen] == ["5fea7756-0ea4-451a-a703-a558b933e274"]


def test_nothing_more_is_received_once_all_ids_are_found() -> None:
    def messages() -> Iterable[Received]:
        yield letter(id="1").message
        yield letter(id="2").message
        raise AssertionError("it went on")

    assert [found.id for found in Selection(ids=frozenset({"1", "2"})).choose(messages())] == ["1", "2"]
    assert [found.id for found in Selection(limit=1).choose(messages())] == ["1"]


@pytest.mark.parametrize("body", ["", "no JSON", "[1]", '"text"', "null", "[" * 100_000, '{"type": 5, "id": {}}'])
def test_a_body_that_cannot_be_read_is_a_dead_letter_as_well(body: str) -> None:
    broken = letter(body)

    assert (broken.event_type, broken.event_id, broken.reason) == ("unreadable", None, "worker_crashed")
    assert broken.problem is not None
    assert not broken.contains("zoë")


@pytest.mark.parametrize(("given", "attempts"), [("5", 5), ("", 3), ("many", 3), ("9" * 400, 3), ("²", 3)])
def test_attempts_are_those_in_the_events_queue_if_known(given: str, attempts: int) -> None:
    assert letter(receive_count=given).attempts == attempts


def test_the_original_has_its_own_attributes_only() -> None:
    body = activity("ada")
    original = letter(
        body, failure_reason="x", failure_detail="x", failed_at="x", receive_count="1", own="kept"
    ).original()

    assert (original.body, list(original.attributes)) == (body, ["own"])
