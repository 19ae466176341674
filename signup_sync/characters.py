r"""Characters that texts of an event may have, as classes and patterns of regular expressions.

They are those of Unicode 17 by general category (Unicode Standard Annex #44, 5.7.1), close to what PRECIS allows in a
nickname (RFC 8266, 2.1; RFC 8264, 4.3), but with what emoji and the scripts of many people need: joiners and variation
selectors. The characters are in the patterns as themselves, since there is no way to write those beyond U+FFFF by
their numbers that Rust, ECMAScript (JSON Schema) and Python all understand.

The Lambda (`trigger_lambda.handler`), which cannot import this, has the same classes, and migration 0004 has the two
together. Tests compare them.
"""

import re
import unicodedata

# Categories Cc (control), Cf (format), Zl and Zp (separators of lines and paragraphs) without the two joiners, and
# what is not assigned but by default not displayed (Default_Ignorable_Code_Point; UAX #44, "Property Definitions").
# Texts with a direction of their own, line ends, escape sequences and hidden texts are made of them.
UNWANTED = (
    "\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
# Joiners, variation selectors, and letters without a glyph: names have them, but none consists of them alone.
INVISIBLE = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u200c\u200d\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
)

# PostgreSQL cannot hold U+0000 in text (PostgreSQL documentation, 8.3 "Character Types"): it is in both.
PLAIN = f"^[^{UNWANTED}]*$"
NAME = rf"^[{INVISIBLE}\s]*[^{UNWANTED}{INVISIBLE}\s][^{UNWANTED}]*$"
HANDLE = rf"^[{INVISIBLE}]*[^{UNWANTED}{INVISIBLE}\s][^{UNWANTED}\s]*$"
# Tabs and line ends belong to a text; the two overrides show any letters in any order (UAX #9, 2.2).
MESSAGE = "^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202d\u202e]*$"

_at = re.compile("[@\ufe6b\uff20]").search  # all that is normalized to an @
_address = re.compile(r"[^\s@]\s*@\s*[^\s@]").search
_without_unwanted = re.compile(f"[{UNWANTED}\ud800-\udfff]").sub  # nor surrogates, which UTF-8 cannot hold
_line_ends = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]+").sub
_visible = re.compile(rf"[^{INVISIBLE}\s]").search


def has_address(name: str) -> bool:
    """Whether an e-mail address is in it, full-width characters and white space around the @ included."""
    return _at(name) is not None and _address(unicodedata.normalize("NFKC", name)) is not None


def clean(text: str) -> str:
    """Without what no text of an event may have, and white space around it."""
    return _without_unwanted("", text).strip()


def clean_name(text: str) -> str:
    """The same of a name, in one line; empty if nothing of it could be seen."""
    cleaned = clean(_line_ends(" ", text))
    return cleaned if _visible(cleaned) else ""
