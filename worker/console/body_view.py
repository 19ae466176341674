"""Body view: a message's body for a page, laid out, coloured, and masked until somebody reveals it.

Tokens are shown as their sender wrote them. What a page would obey or hide (control characters, escape sequences,
directions, characters without width) is shown by its code point.

Masked, the structure of an event stays, with what it takes to see why it failed: the members that hold nothing about
a person. Of every other value only its type and length are left, and of every other key its length.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from markupsafe import Markup, escape

from worker.dead_letters.lossless_json import is_json, pretty
from worker.text import printable

MAX_LAID_OUT = 65_536  # characters; of a longer body the beginning is shown, as it was sent
MAX_TOKENS = 10_000  # as many of HTML's elements; the same for a body of more

# RFC 8259, 2 "JSON Grammar": white space, a string, a structural character, or anything up to the next of them.
_TOKEN = re.compile(r'[ \t\n\r]+|"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)

# Members whose values say nothing about a person, where they look as they should. Ids are what operators work with.
_PLAIN = {
    "specversion": re.compile(r'"[0-9.]{1,8}"'),
    "type": re.compile(r'"[A-Za-z0-9._-]{1,128}"'),
    "id": re.compile(r'"[A-Za-z0-9._-]{1,128}"'),
    "source": re.compile(r'"/[A-Za-z0-9._/-]{0,128}"'),
    "time": re.compile(r'"[0-9TZtz:.+ -]{1,40}"'),
    "traceparent": re.compile(r'"[0-9a-f-]{1,64}"'),
    "data.cognito_user_id": re.compile(r'"[A-Za-z0-9._-]{1,128}"'),
    "data.expires_at": re.compile(r'"[0-9TZtz:.+ -]{1,40}"'),
    "data.reply_to_activity_uuid": re.compile(r'"[0-9A-Fa-f-]{1,40}"'),
    "data.activities": re.compile(r'"(erase|keep)"'),
}
_PERSONAL = {"email", "display_name", "handle", "message", "attributes"}
_KNOWN_KEYS = frozenset({part for path in _PLAIN for part in path.split(".")} | _PERSONAL)
_LITERALS = ("true", "false", "null")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # of its CSS class: key, string, number, literal, punctuation; or space
    text: str
    path: str  # of a value: the keys that lead to it, with dots in between


def laid_out(body: str, *, revealed: bool) -> Markup:
    """The body as HTML for a `<pre>`."""
    if not is_json(body) or len(body) > MAX_LAID_OUT or _has_many_tokens(body):
        return _as_sent(body) if revealed else _span("masked", f"{len(body):,} characters that are not shown")
    return Markup("").join(_shown(token, revealed=revealed) for token in _tokens(pretty(body)))


def plain_text(body: str) -> str:
    """What a page shows of the body while it is masked, to be searched: what says nothing of a person."""
    if not is_json(body) or len(body) > MAX_LAID_OUT:
        return ""
    return "\n".join(token.text for token in _tokens(body) if token.kind != "punctuation" and _is_plain(token))


def editable(body: str) -> str:
    """The body as text for an editor: laid out, with characters that cannot be seen as JSON's escapes.

    In a string of JSON these mean the same.
    """
    text = pretty(body)
    return text if text.isprintable() else "".join(map(_escaped, text))


def visible(text: str) -> str:
    """Text from anywhere, of which nothing is hidden and nothing obeyed; it has still to be escaped for HTML."""
    return printable(text, lines=True)


def _has_many_tokens(body: str) -> bool:
    """White space does not count, which is shown without an element of its own."""
    tokens = (found for found in _TOKEN.finditer(body) if not found[0].isspace())
    return next(islice(tokens, MAX_TOKENS, None), None) is not None


def _as_sent(body: str) -> Markup:
    rest = len(body) - MAX_LAID_OUT
    more = _span("masked", f"\n{rest:,} more characters: signup-sync dlq show") if rest > 0 else Markup("")
    return Markup("").join([escape(visible(body[:MAX_LAID_OUT])), more])


def _shown(token: _Token, *, revealed: bool) -> Markup:
    if token.kind == "space":
        return escape(token.text)
    if revealed or _is_plain(token):
        return _span(token.kind, visible(token.text))
    kind = "text" if token.kind in ("string", "key") else "number"
    length = len(token.text) - (2 if kind == "text" else 0)
    return _span("masked", f"{kind}, {length} character{'' if length == 1 else 's'}")


def _is_plain(token: _Token) -> bool:
    if token.kind in ("punctuation", "literal"):
        return True
    if token.kind == "key":
        return token.text[1:-1] in _KNOWN_KEYS
    pattern = _PLAIN.get(token.path)
    return pattern is not None and pattern.fullmatch(token.text) is not None


def _tokens(text: str) -> Iterator[_Token]:
    """Of valid JSON."""
    keys: list[str | None] = []  # of the containers around; None for an array
    path: list[str] = []
    expects_key = False
    for text_ in _TOKEN.findall(text):
        if text_.isspace():
            yield _Token("space", text_, "")
        elif text_ in "{}[],:":
            expects_key = _step(text_, keys, path)
            yield _Token("punctuation", text_, "")
        elif expects_key:
            path[-1] = text_[1:-1]
            yield _Token("key", text_, "")
        else:
            kind = "string" if text_.startswith('"') else "literal" if text_ in _LITERALS else "number"
            yield _Token(kind, text_, ".".join(path))


def _step(mark: str, containers: list[str | None], path: list[str]) -> bool:
    """Go on behind a structural character; returns whether a key comes next."""
    if mark in "{[":
        containers.append("{" if mark == "{" else None)
        path.append("" if mark == "{" else "[]")
    elif mark in "}]":
        containers.pop()
        path.pop()
    return mark in "{," and bool(containers) and containers[-1] is not None


def _escaped(character: str) -> str:
    if character.isprintable() or character in "\n\t":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _span(kind: str, text: str) -> Markup:
    return Markup('<span class="{}">{}</span>').format(kind, text)
