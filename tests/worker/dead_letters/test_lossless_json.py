"""JSON that is laid out, made compact and changed in one place, and otherwise stays as its sender wrote it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.dead_letters.lossless_json import NotAnObject, compact, is_json, member, pretty, with_member

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
# Small ones: what can go wrong does so with a few members, and larger ones take their time.
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)

# As people and libraries write it: what reading and writing anew would change.
SPACE = st.sampled_from(["", " ", "\n\t", "\r\n  "])
STRINGS = st.sampled_from(['""', '"a, {b}"', '"\\u00e9\\/"', '"\\""', '"\\\\"', '"é"', '"[:]"'])
TOKENS = st.recursive(
    st.sampled_from(["1.10", "1e400", "-0", "12345678901234567890123", "true", "null"]).map(lambda text: [text])
    | STRINGS.map(lambda text: [text]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda found: ["[", *_listed(found), "]"])
        | st.lists(st.tuples(STRINGS, inner), max_size=3).map(
            lambda found: ["{", *_listed([[key, ":", *value] for key, value in found]), "}"]
        )
    ),
    max_leaves=6,
)


def _listed(items: list[list[str]]) -> list[str]:
    """With commas in between."""
    return [token for item in items for token in (",", *item)][1:]


@given(VALUES, st.booleans())
def test_laying_out_and_compacting_give_the_same_value(value: object, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)

    assert json.loads(pretty(text)) == value
    assert compact(pretty(text)) == compact(text)
    assert json.loads(compact(text)) == value


@given(TOKENS, st.lists(SPACE, min_size=1))
def test_every_token_stays_as_it_was_written(tokens: list[str], spaces: list[str]) -> None:
    text = "".join(token + spaces[number % len(spaces)] for number, token in enumerate(tokens))

    assert compact(pretty(text)) == compact(text) == "".join(tokens)


@given(st.text() | st.text('{}[]:,"\\u1e- \n'))
def test_what_is_not_json_stays_as_it_is(text: str) -> None:
    assert is_json(text) or pretty(text) == compact(text) == text


@pytest.mark.parametrize("text", ["", '{"a": ', "[" * 5000])
def test_what_is_cut_off_or_too_deep_stays_as_it_is(text: str) -> None:
    assert pretty(text) == compact(text) == text


def test_each_member_has_its_line() -> None:
    assert pretty('{"a":{"b":[1,"x, {y}"]},"c":{}}').splitlines() == [
        "{",
        '  "a": {',
        '    "b": [',
        "      1,",
        '      "x, {y}"',
        "    ]",
        "  },",
        '  "c": {}',
        "}",
    ]


def test_what_is_nested_deep_stays_on_one_line() -> None:
    text = "[" * 10 + '{"a":[1,2]},{}' + "]" * 10

    assert pretty(text).splitlines() == [
        *("  " * depth + "[" for depth in range(8)),
        "  " * 8 + '[[{"a": [1, 2]}, {}]]',
        *("  " * depth + "]" for depth in reversed(range(8))),
    ]
    assert compact(pretty(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "[" * 900 + ",".join(["1"] * 32_000) + "]" * 900,
        "[" * 8 + ",".join(["[]"] * 20_000) + "]" * 8,
        "[" * 7 + ",".join(["[1]"] * 16_000) + "]" * 7,
        '{"":' * 900 + "[" + ",".join(['{"":0}'] * 8_000) + "]" + "}" * 900,
        "[" + ",".join(["[[[[[[[1]]]]]]]"] * 4_000) + "]",
    ],
    ids=["elements at the bottom", "empty", "of one element", "members", "bushy"],
)
def test_whatever_is_laid_out_it_is_not_much_longer(text: str) -> None:
    shown = pretty(text)

    assert shown != text
    assert len(shown) <= 18 * len(text)
    assert compact(shown) == text


@given(VALUES, st.integers(0, 900))
def test_so_is_any_value_at_any_depth(value: object, depth: int) -> None:
    text = "[" * depth + json.dumps(value, separators=(",", ":")) + "]" * depth

    assert len(pretty(text)) <= 18 * len(text)
    assert compact(pretty(text)) == compact(text)


@pytest.mark.parametrize(
    ("text", "path", "changed"),
    [
        ('{"a": 1.10, "b": 2}', "b", '{"a": 1.10, "b": "new"}'),
        ('{"a": {"b" : [1, 2] , "c": 1e400}}', "a.b", '{"a": {"b" : "new" , "c": 1e400}}'),
        ('{"a": {}}', "a.b", '{"a": {"b":"new"}}'),
        (' { "a": 1 }', "b", ' {"b":"new", "a": 1 }'),
        ('{"a": 1, "a": 2}', "a", '{"a": 1, "a": "new"}'),
        ('{"\\u0061": {"b": "}"}}', "a.b", '{"\\u0061": {"b": "new"}}'),
    ],
)
def test_setting_a_member_changes_nothing_else(text: str, path: str, changed: str) -> None:
    assert with_member(text, path, '"new"') == changed


@given(st.dictionaries(st.text("abc", max_size=2), VALUES, max_size=4), st.sampled_from("abc"), VALUES)
def test_a_member_that_was_set_is_read_back(event: dict[str, object], key: str, value: object) -> None:
    changed = with_member(json.dumps(event), key, json.dumps(value))

    assert json.loads(changed) == event | {key: value}


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ('{"a": 1.10, "b": 2}', "a", "1.10"),
        ('{"a": {"b" : [1, 2] , "c": 1e400}}', "a.b", "[1,2]"),
        ('{"a": {"b" : [1, 2] , "c": 1e400}}', "a.c", "1e400"),
        ('{"a": 1, "a": 2}', "a", "2"),
        ('{"\\u0061": {"b": "} "}}', "a.b", '"} "'),
        ('{"a": null}', "a", "null"),
        ('{"a": {}}', "a.b", None),
        ('{"b": {}}', "a.b", None),
        ('{"a": [1]}', "a.b", None),
        ("no JSON", "a", None),
    ],
)
def test_a_member_is_read_as_it_is_written(text: str, path: str, value: str | None) -> None:
    assert member(text, path) == value


@given(VALUES, st.lists(st.text(min_size=1).filter(lambda key: "." not in key), min_size=1, max_size=3))
def test_a_path_sets_its_member_or_is_refused(event: object, path: list[str]) -> None:
    try:
        changed = json.loads(with_member(json.dumps(event), ".".join(path), "42"))
    except NotAnObject:
        return
    assert member(json.dumps(changed), ".".join(path)) == "42"
    for key in path:
        changed = changed[key]
    assert changed == 42


@pytest.mark.parametrize("text", ["no JSON", "[1]", '"a"', '{"a": [1]}', '{"b": {}}'])
def test_a_member_needs_an_object_to_be_in(text: str) -> None:
    with pytest.raises(NotAnObject):
        with_member(text, "a.b", "1")
