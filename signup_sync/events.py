"""The contract: CloudEvents 1.0 in structured JSON, one event a message. These models are its definition.

`parse_event` reads a message's body; `json_schema` is the contract for those who do not read Python. Attributes that
the models do not name are ignored, so that publishers can be ahead of the worker.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from time import time_ns
from typing import Annotated, Any, Literal, Self, TypeVar
from uuid import UUID, uuid4

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, from_json

from signup_sync.characters import HANDLE, MESSAGE, NAME, PLAIN, has_address
from signup_sync.uuid7 import uuid7

# RFC 3339, 5.6 "Internet Date/Time Format". Pydantic alone would also take a number of seconds, or no zone.
_is_rfc_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII).fullmatch


def _rfc_3339(value: object) -> object:
    if isinstance(value, datetime) or (isinstance(value, str) and _is_rfc_3339(value)):
        return value
    raise ValueError("should be a date and time as in RFC 3339, for example 2026-01-31T12:00:00Z")


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("is, in UTC, outside the years 1 to 9999") from None


def _no_address(name: str) -> str:
    if has_address(name):
        raise ValueError("must not contain an e-mail address, as it is public")
    return name


Text = Annotated[str, StringConstraints(min_length=1, pattern=PLAIN)]
CognitoUserId = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=PLAIN)]
DisplayName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NAME), AfterValidator(_no_address)]
Handle = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=HANDLE), AfterValidator(_no_address)]
Email = Annotated[str, StringConstraints(pattern=PLAIN)]
Message = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=MESSAGE)]
# As long as a value may be at Cognito (Amazon Cognito API Reference, AttributeType, "Value").
AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=PLAIN)]
AttributeValue = Annotated[str, StringConstraints(max_length=2048, pattern=MESSAGE)]
Attributes = Annotated[dict[AttributeName, AttributeValue], Field(max_length=50, default_factory=dict)]
# The validators run from the last to the first, those behind the type after it.
Time = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_rfc_3339), AfterValidator(_in_utc)]


class _Model(BaseModel):
    # Strict: a number where text belongs is an error, not its digits.
    # Few values are there twice: a cache of them is only work (pydantic, "Configuration", cache_strings).
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", cache_strings="keys")


class Profile(_Model):
    """Who somebody is. Handle and display name are public; the e-mail address and the attributes are not."""

    cognito_user_id: CognitoUserId
    email: Email | None = None
    display_name: DisplayName
    handle: Handle
    attributes: Attributes


class ActivityData(_Model):
    """What somebody posted; `cognito_user_id` is the author."""

    cognito_user_id: CognitoUserId
    message: Message
    expires_at: Time | None = None
    reply_to_activity_uuid: UUID | None = None


class Deletion(_Model):
    """Who is gone, and whether what they have posted goes too."""

    cognito_user_id: CognitoUserId
    activities: Literal["erase", "keep"] = "erase"


class _Event(_Model):
    specversion: Literal["1.0"]
    source: Text
    time: Time
    traceparent: str | None = None


class UserSignedUp(_Event):
    """`user.signed_up.v1`: a person has confirmed their sign-up. `id` is the user's Cognito `sub`."""

    id: CognitoUserId
    type: Literal["user.signed_up.v1"]
    data: Profile

    @classmethod
    def new(
        cls,
        *,
        cognito_user_id: str,
        handle: str,
        display_name: str,
        source: str,
        email: str | None = None,
        attributes: Mapping[str, str] | None = None,
        time: datetime | None = None,
        traceparent: str | None = None,
    ) -> Self:
        """An event of now, or of `time`. Raises `InvalidEvent`."""
        data = _profile(cognito_user_id, handle, display_name, email, attributes)
        return _new(cls, "user.signed_up.v1", cognito_user_id, source, data, time, traceparent)


class UserUpdated(_Event):
    """`user.updated.v1`: all that a person's profile is by now. The newest `time` wins, in whatever order they come."""

    id: UUID
    type: Literal["user.updated.v1"]
    data: Profile

    @classmethod
    def new(
        cls,
        *,
        cognito_user_id: str,
        handle: str,
        display_name: str,
        source: str,
        email: str | None = None,
        attributes: Mapping[str, str] | None = None,
        time: datetime | None = None,
        traceparent: str | None = None,
    ) -> Self:
        """An event of now, or of `time`, with an id of its own. What is left out is gone. Raises `InvalidEvent`."""
        data = _profile(cognito_user_id, handle, display_name, email, attributes)
        return _new(cls, "user.updated.v1", uuid4(), source, data, time, traceparent)


class UserDeleted(_Event):
    """`user.deleted.v1`: an account is gone, and what is known of the person goes. Nothing brings them back."""

    id: UUID
    type: Literal["user.deleted.v1"]
    data: Deletion

    @classmethod
    def new(
        cls,
        *,
        cognito_user_id: str,
        source: str,
        activities: Literal["erase", "keep"] = "erase",
        time: datetime | None = None,
        traceparent: str | None = None,
    ) -> Self:
        """An event of now, or of `time`, with an id of its own. Raises `InvalidEvent`."""
        data = {"cognito_user_id": cognito_user_id, "activities": activities}
        return _new(cls, "user.deleted.v1", uuid4(), source, data, time, traceparent)


class ActivityCreated(_Event):
    """`activity.created.v1`: a user has posted. `id` is the activity's UUID, made by the publisher."""

    id: UUID
    type: Literal["activity.created.v1"]
    data: ActivityData

    @classmethod
    def new(
        cls,
        *,
        author: str,
        message: str,
        source: str,
        expires_at: datetime | None = None,
        reply_to: UUID | None = None,
        time: datetime | None = None,
        traceparent: str | None = None,
    ) -> Self:
        """An event of now, or of `time`, with an id of its own; `author` is a Cognito `sub`. Raises `InvalidEvent`.

        The id tells whoever sees it when it was made, to the millisecond: it is a version 7 UUID, so that new
        activities are next to each other in the table's indexes (`docs/scaling.md`, "Growth of the tables").
        """
        data = {
            "cognito_user_id": author,
            "message": message,
            "expires_at": expires_at,
            "reply_to_activity_uuid": reply_to,
        }
        return _new(cls, "activity.created.v1", uuid7(time_ns() // 1_000_000), source, data, time, traceparent)

    @model_validator(mode="after")
    def _replies_to_another(self) -> Self:
        if self.data.reply_to_activity_uuid == self.id:
            raise ValueError("an activity cannot reply to itself")
        return self


Event = UserSignedUp | UserUpdated | UserDeleted | ActivityCreated

EVENT_TYPES = ("user.signed_up.v1", "user.updated.v1", "user.deleted.v1", "activity.created.v1")

_event: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


class InvalidEvent(ValueError):
    """Something that is not an event of the contract.

    `unknown_type`: it is well-formed so far, but of a type or version that this worker does not know. The text is one
    line and holds no value of the event.
    """

    def __init__(self, detail: str, *, unknown_type: bool) -> None:
        super().__init__(detail)
        self.unknown_type = unknown_type


_EventT = TypeVar("_EventT", bound=_Event)


def _new(
    model: type[_EventT],
    event_type: str,
    event_id: str | UUID,
    source: str,
    data: dict[str, Any],
    time: datetime | None,
    traceparent: str | None,
) -> _EventT:
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": event_type,
        "time": time or datetime.now(UTC),
        "traceparent": traceparent,
        "data": data,
    }
    try:
        return model.model_validate(event)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        text = "; ".join(_describe(detail, branches=0) for detail in details)
        raise InvalidEvent(text, unknown_type=False) from None


def _profile(
    cognito_user_id: str, handle: str, display_name: str, email: str | None, attributes: Mapping[str, str] | None
) -> dict[str, Any]:
    return {
        "cognito_user_id": cognito_user_id,
        "email": email,
        "display_name": display_name,
        "handle": handle,
        "attributes": dict(attributes or {}),
    }


def parse_event(body: str) -> Event:
    """Read a message's body. Raises `InvalidEvent`."""
    try:
        return _event.validate_json(body)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        unknown_type = details[0]["type"] == "union_tag_invalid" and isinstance(from_json(body)["type"], str)
        raise InvalidEvent("; ".join(map(_describe, details)), unknown_type=unknown_type) from None


def json_schema() -> dict[str, Any]:
    """The contract as JSON Schema (draft 2020-12)."""
    schema = _event.json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "signup-sync events", **schema}


# What the reader of a dead letter can act on, where pydantic's own words would not do or would quote the value.
_WORDS = {
    "union_tag_invalid": "not one of " + ", ".join(EVENT_TYPES),
    "union_tag_not_found": "Field required",
    "uuid_parsing": "Input should be a valid UUID",
}
_WORDS_FOR_PATTERN = {
    PLAIN: "must not contain control or format characters",
    NAME: "must be visible, without control or format characters",
    HANDLE: "must be visible, without white space, control or format characters",
    MESSAGE: "must not contain control characters but tabs and line ends, nor override the direction of text",
}


def _describe(error: ErrorDetails, *, branches: int = 1) -> str:
    words = _WORDS.get(error["type"], error["msg"]).removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch":
        words = _WORDS_FOR_PATTERN[error["ctx"]["pattern"]]
    if error["type"].startswith("union_tag"):
        return f"type: {words}"
    # The first part, where a union was read, is its branch, which the publisher did not write. Behind `attributes`
    # comes a name of the publisher's own, and so a value.
    parts = [str(part) for part in error["loc"][branches:]]
    path = ".".join(parts[: parts.index("attributes") + 1] if "attributes" in parts else parts)
    return f"{path}: {words}" if path else words
