"""Profile of a user, from what Cognito knows of them: handle, display name, e-mail address, and what goes along.

The same rules as `trigger_lambda.handler` has, which cannot be imported here any more than this can be there: a user
gets the same profile whichever way they come. A test compares the two.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TypedDict

from signup_sync.characters import clean, clean_name, has_address

HANDLE_MAX_LENGTH = 64  # characters
DISPLAY_NAME_MAX_LENGTH = 200  # characters
ATTRIBUTE_MAX_LENGTH = 2048  # characters

_is_uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch


class PoolProfile(TypedDict):
    """What the events of a user's life say, as `UserSignedUp.new` and `UserUpdated.new` take it."""

    handle: str
    display_name: str
    email: str | None
    attributes: dict[str, str]


def profile(username: str, attributes: Mapping[str, str], carried: Iterable[str]) -> PoolProfile:
    """`carried`: the names of the attributes that go along."""
    public = handle(username, attributes)
    return {
        "handle": public,
        "display_name": display_name(attributes) or public,
        "email": email(attributes),
        "attributes": carried_along(attributes, carried),
    }


def handle(username: str, attributes: Mapping[str, str]) -> str:
    """From `preferred_username`, else the username unless that is a UUID or an e-mail address, else from `sub`."""
    name = clean_name(username)
    candidates = [clean_name(attributes.get("preferred_username", "")), "" if _is_uuid(name) else name]
    public = _first_public("-".join(text.split()) for text in candidates)
    return clean_name(public[:HANDLE_MAX_LENGTH]) or f"user-{attributes['sub'][:8]}"


def display_name(attributes: Mapping[str, str]) -> str:
    """From `name`, else `given_name` and `family_name`; empty if there is none: then it is the handle."""
    given, family = (clean_name(attributes.get(name, "")) for name in ("given_name", "family_name"))
    candidates = [clean_name(attributes.get("name", "")), f"{given} {family}".strip()]
    return clean_name(_first_public(candidates)[:DISPLAY_NAME_MAX_LENGTH])


def email(attributes: Mapping[str, str]) -> str | None:
    """None if there is none."""
    return clean(attributes.get("email", "")) or None


def carried_along(attributes: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The attributes of these names of which something can be seen."""
    values = {name: clean_name(attributes.get(name, "")) for name in names}
    return {name: value[:ATTRIBUTE_MAX_LENGTH] for name, value in values.items() if value}


def _first_public(candidates: Iterable[str]) -> str:
    # Uncut: what is left of an address that was cut to size no longer looks like one.
    return next((text for text in candidates if text and not has_address(text)), "")
