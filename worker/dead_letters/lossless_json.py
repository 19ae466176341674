"""Lossless JSON, as text: laid out for a person, made compact again, and changed in one place.

Every token stays as its sender wrote it. Reading JSON and writing it anew would not do that: 1.10 becomes 1.1, 1e400
infinity, an escaped character a plain one, and of repeated keys one is left.
"""

import json
import re
from collections.abc import Iterator

# RFC 8259, 2 "JSON Grammar": a string, a structural character, or anything up to the next of them.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_SPACE = re.compile(r"[ \t\n\r]*")
_INDENT = "  "
MAX_INDENTED = 8  # levels of nesting that get lines of their own; events have three

_decode = json.JSONDecoder().raw_decode


class NotAnObject(ValueError):
    """There is no JSON object where a member was to be set."""


def is_json(text: str) -> bool:
    """Whether it can be read."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def as_json(text: str) -> str:
    """What somebody has typed as a value: JSON if it can be read as such, else the text as a string of JSON."""
    return text if is_json(text) else json.dumps(text, ensure_ascii=False)


def pretty(text: str) -> str:
    """One member or element a line; what is not JSON is returned as it is.

    What is nested deeper than `MAX_INDENTED` stays on one line: else the indentation alone would make hundreds of
    megabytes of a message that is nothing but brackets. So the text is at most 18 times as long.
    """
    if not is_json(text):
        return text
    tokens = _TOKEN.findall(text)
    return "".join(_laid_out(tokens, [*tokens[1:], ""]))


def compact(text: str) -> str:
    """On one line, without white space between tokens; what is not JSON is returned as it is."""
    return "".join(_TOKEN.findall(text)) if is_json(text) else text


def with_member(text: str, path: str, value: str) -> str:
    """Set a member, found by its keys with dots in between, to a value of JSON; it need not be there before.

    Raises `NotAnObject` if the text, or what the keys before the last lead to, is not an object.
    """
    if not is_json(text):
        raise NotAnObject("the event is not JSON")
    *parents, key = path.split(".")
    start = _after_space(text, 0)
    for parent in parents:
        start = _members(text, start).get(parent, (len(text), 0))[0]
    members = _members(text, start)
    if key in members:
        begin, end = members[key]
        return text[:begin] + value + text[end:]
    member = f"{json.dumps(key)}:{value}" + ("," if members else "")
    return text[: start + 1] + member + text[start + 1 :]


def member(text: str, path: str) -> str | None:
    """The value of a member, compact; None where there is none. It is found as `with_member` finds it."""
    if not is_json(text):
        return None
    start, end = _after_space(text, 0), len(text)
    for key in path.split("."):
        try:
            members = _members(text, start)
        except NotAnObject:
            return None
        if key not in members:
            return None
        start, end = members[key]
    return compact(text[start:end])


def _laid_out(tokens: list[str], following: list[str]) -> Iterator[str]:
    depth = 0
    for this, after in zip(tokens, following, strict=True):
        yield this
        if this in ("{", "["):
            depth += 1
        indented = depth <= MAX_INDENTED
        if after in ("}", "]"):
            depth -= 1
            if this not in ("{", "[") and indented:
                yield "\n" + _INDENT * depth
        elif this in ("{", "[", ",") and indented:
            yield "\n" + _INDENT * depth
        elif this in (",", ":"):
            yield " "


def _members(text: str, start: int) -> dict[str, tuple[int, int]]:
    """Where the value of each member of the object that begins at `start` begins and ends; of repeated keys the last,
    which is the one that readers take."""
    if text[start : start + 1] != "{":
        raise NotAnObject("there is no object to set it in")
    members = {}
    position = _after_space(text, start + 1)
    while text[position] != "}":
        key, position = _decode(text, position)
        begin = _after_space(text, _after_space(text, position) + 1)
        _, end = _decode(text, begin)
        members[key] = (begin, end)
        position = _after_space(text, end)
        if text[position] == ",":
            position = _after_space(text, position + 1)
    return members


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position
