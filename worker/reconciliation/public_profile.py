"""Public profile of a user, from what Cognito knows of them: the handle and the display name.

The same rules as `trigger_lambda.handler` has, which cannot be imported here any more than this can be there: a user
gets the same names whichever way they come. A test compares the two.
"""

import re
from collections.abc import Iterable, Mapping

HANDLE_MAX_LENGTH = 64  # characters
DISPLAY_NAME_MAX_LENGTH = 200  # characters

_is_uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch
_email = re.compile(r"[^\s@]+@[^\s@]+")
# What neither Postgres nor UTF-8 can hold.
_unstorable = re.compile("[\x00\ud800-\udfff]")


def handle(username: str, attributes: Mapping[str, str]) -> str:
    """From `preferred_username`, else the username unless that is a UUID or an e-mail address, else from `sub`."""
    name = clean(username)
    candidates = [clean(attributes.get("preferred_username")), "" if _is_uuid(name) else name]
    public = _first_public("-".join(text.split()) for text in candidates)
    return public[:HANDLE_MAX_LENGTH] or f"user-{attributes['sub'][:8]}"


def display_name(attributes: Mapping[str, str]) -> str:
    """From `name`, else `given_name` and `family_name`; empty if there is none: then it is the handle."""
    given_and_family = f"{clean(attributes.get('given_name'))} {clean(attributes.get('family_name'))}"
    candidates = [clean(attributes.get("name")), given_and_family.strip()]
    return _first_public(candidates)[:DISPLAY_NAME_MAX_LENGTH]


def clean(text: str | None) -> str:
    """Without what cannot be stored, and white space around it."""
    return _unstorable.sub("", text or "").strip()


def _first_public(candidates: Iterable[str]) -> str:
    # Uncut: what is left of an address that was cut to size no longer looks like one.
    return next((text for text in candidates if text and not _email.search(text)), "")
