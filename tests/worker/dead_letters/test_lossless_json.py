import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.dead_letters.lossless_json import NotAnObject, compact, pretty, with_member

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values, st.booleans())
def test_laying_out_and_compacting_give_the_same_value(value: object, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)

    assert json.loads(pretty(text)) == value
    assert compact(pretty(text)) == compact(text)
    assert json.loads(compact(text)) == value


def test_every_token_stays_as_it_was_written() -> None:
    text = '{"a": 1.10, "b": 1e400, "c": "\\u00e9\\/", "c": 12345678901234567890123, "d": [], "e": {}}'

    assert compact(pretty(text)) == '{"a":1.10,"b":1e400,"c":"\\u00e9\\/","c":12345678901234567890123,"d":[],"e":{}}'


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


@pytest.mark.parametrize("text", ["", "no JSON", '{"a": ', "[" * 5000])
def test_what_is_not_json_stays_as_it_is(text: str) -> None:
    assert pretty(text) == text
    assert compact(text) == text


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


@given(st.dictionaries(st.text(), values), st.sampled_from("abc"), values)
def test_a_member_that_was_set_is_read_back(event: dict[str, object], key: str, value: object) -> None:
    changed = with_member(json.dumps(event), key, json.dumps(value))

    assert json.loads(changed) == event | {key: value}


@pytest.mark.parametrize("text", ["no JSON", "[1]", '"a"', '{"a": [1]}', '{"b": {}}'])
def test_a_member_needs_an_object_to_be_in(text: str) -> None:
    with pytest.raises(NotAnObject):
        with_member(text, "a.b", "1")
