"""How a body is shown: as it was sent, with nothing hidden; and masked, with nothing about a person."""

import json
import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.events import activity, deleted, sign_up, updated
from worker.console.body_view import MAX_LAID_OUT, MAX_TOKENS, editable, laid_out, plain_text
from worker.dead_letters.lossless_json import compact, pretty

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def text(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


@given(JSON, st.booleans())
def test_revealed_every_token_is_shown_as_it_was_sent(value: object, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only)

    shown = text(laid_out(body, revealed=True))

    if pretty(body).isprintable() or ("\n" in pretty(body) and pretty(body).replace("\n", "").isprintable()):
        assert shown == pretty(body)
    assert shown.replace("\n", "").isprintable()


@given(JSON)
def test_what_an_editor_shows_is_the_same_json(value: object) -> None:
    body = json.dumps(value, ensure_ascii=False)

    shown = editable(body)

    assert json.dumps(json.loads(shown)) == json.dumps(json.loads(body))
    assert shown.replace("\n", "").isprintable()


@given(st.text("\u00c4\u00df\u4e2d\U0001f642", min_size=1))
def test_masked_nothing_of_the_values_is_left(word: str) -> None:
    for body in (
        sign_up("1", handle=word, email=word, display_name=word, attributes={word: word, "locale": word}),
        updated("1", handle=word, attributes={"id": word}),
        activity("1", word),
        json.dumps({"x": [word, {"y": word}], word: 1, "data": {"z": word, word: word}}, ensure_ascii=False),
        json.dumps(dict.fromkeys(("id", "type", "source", "time", "specversion", "traceparent"), word)),
        word,
    ):
        shown = text(laid_out(body, revealed=False))

        assert not set(word) & set(shown)
        assert "\\u" not in shown
        assert not set(word) & set(plain_text(body))


def test_masked_a_deletion_says_what_becomes_of_the_activities() -> None:
    for activities in ("erase", "keep"):
        assert f'"activities": "{activities}"' in text(laid_out(deleted("ada", activities), revealed=False))
    assert "Ada" not in text(laid_out(deleted("ada", "Ada"), revealed=False))


def test_masked_it_can_still_be_seen_what_is_wrong() -> None:
    body = '{"id":"ada","data":{"handle":42,"emial":"x","display_name":null,"cognito_user_id":"ada"}}'

    shown = " ".join(text(laid_out(body, revealed=False)).split())

    assert shown == (
        '{ "id": "ada", "data": { "handle": number, 2 characters, text, 5 characters: text, 1 character,'
        ' "display_name": null, "cognito_user_id": "ada" } }'
    )


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=x>', "&lt;", "\x1b[31m", "\u202eabc", "\u200b", "\x85"]
)
def test_markup_is_text_and_what_cannot_be_seen_is_shown(hostile: str) -> None:
    for body in (sign_up("ada", display_name=hostile), hostile, json.dumps({hostile: hostile}, ensure_ascii=False)):
        shown = str(laid_out(body, revealed=True))

        assert set(re.findall(r"<(\w+)", shown)) <= {"span"}
        assert set(re.findall(r"\s(\w+)=", re.sub(r">[^<]*<", "><", f">{shown}<"))) <= {"class"}
        assert text(shown).replace("\n", "").isprintable()


def test_an_edit_changes_only_what_was_touched() -> None:
    body = '{"a":1.10,"a":"\\u0041","b":"\u202e","c":[1e400]}'

    edited = editable(body).replace("1e400", "2")

    assert compact(edited) == '{"a":1.10,"a":"\\u0041","b":"\\u202e","c":[2]}'


def test_of_a_body_that_is_very_long_the_beginning_is_shown() -> None:
    body = "x" * (MAX_LAID_OUT + 5)

    assert text(laid_out(body, revealed=True)).endswith("x\n5 more characters: signup-sync dlq show")
    assert "x" not in text(laid_out(body, revealed=False))


@pytest.mark.parametrize(
    "body",
    [
        "[" * 900 + ",".join(["1"] * 30_000) + "]" * 900,
        '{"a":' * 900 + '"' + "x" * 60_000 + '"' + "}" * 900,
        "[" + ",".join(["1"] * 4_900) + "]",
        json.dumps(["\U000e0001" * 20_000], ensure_ascii=False),
    ],
    ids=["many elements", "deep", "as many elements as are shown", "characters that cannot be seen"],
)
@pytest.mark.parametrize("revealed", [True, False])
def test_whatever_a_body_is_its_html_is_bounded(body: str, revealed: bool) -> None:
    html = laid_out(body, revealed=revealed)

    assert len(html) <= 18 * len(body) + 60 * MAX_TOKENS


def test_a_body_of_more_tokens_than_a_page_can_show_is_shown_as_it_was_sent() -> None:
    body = json.dumps([0] * MAX_TOKENS)

    assert text(laid_out(body, revealed=True)) == body
    assert text(laid_out(body, revealed=False)) == f"{len(body):,} characters that are not shown"
