"""People of the console: their names, as the audit log has them, and how each name was proved."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Literal

from signup_sync.characters import INVISIBLE

Proof = Literal["none", "declared", "token", "alb", "oidc"]
"""`declared` is what somebody has said who knew the shared token; `token` is one's own; the others are signatures."""

NAME_RULE = "a name of letters, digits, spaces and . @ ' - (64 at most), each word in letters of one script"

_is_name = re.compile(r"[^\W_][\w .@'-]{0,63}").fullmatch
_invisible = re.compile(f"[{INVISIBLE}]").search  # some are letters to Python
_words = re.compile(r"[^\W\d_]+").findall

# Scripts of which letters look like each other's (Unicode Technical Standard #39, 5.1 "Mixed-Script Detection"). Others
# share words, such as the three of Japanese.
_ALIKE = {"ARMENIAN", "CHEROKEE", "COPTIC", "CYRILLIC", "GREEK", "LATIN"}


@dataclass(frozen=True, slots=True)
class Person:
    """`token_hash` is that of the token that is theirs alone, if that is the proof."""

    name: str
    proof: Proof
    token_hash: str = field(default="", repr=False)


NOBODY = Person("nobody", "none")


def name_of(text: str) -> str | None:
    """What somebody calls themselves as the audit log has it, in Normalization Form KC; None if it is no name.

    Only letters, digits, spaces and . @ ' - are allowed, so that none of it is invisible or changes the direction.
    A whole word of another script that looks like a name of ours is allowed: it is some people's.
    """
    name = unicodedata.normalize("NFKC", text).strip()
    if not _is_name(name) or _invisible(name) or name.casefold() == NOBODY.name:
        return None
    return None if any(map(_is_mixed, _words(name))) else name


def _is_mixed(word: str) -> bool:
    # The name of a letter begins with that of its script (Unicode Standard, 4.8 "Name").
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in word}
    return len(scripts) > 1 and not scripts.isdisjoint(_ALIKE)
