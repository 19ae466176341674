"""Events as publishers write them."""

import json
import uuid
from typing import Any

TIME = "2026-01-31T12:00:00Z"
LATER = "2026-01-31T13:00:00Z"
MUCH_LATER = "2026-01-31T14:00:00Z"


def sign_up(name: str, **data: Any) -> str:
    """`user.signed_up.v1` of the user `name`, who is also `sub` and handle."""
    return body(
        "user.signed_up.v1",
        name,
        {
            "cognito_user_id": name,
            "email": f"{name}@example.com",
            "display_name": name.title(),
            "handle": name,
            **data,
        },
    )


def activity(author: str, message: str = "hello", *, id: str | None = None, reply_to: str | None = None) -> str:  # noqa: A002 (the attribute's name)
    """`activity.created.v1` by `author`."""
    data = {"cognito_user_id": author, "message": message, "expires_at": None, "reply_to_activity_uuid": reply_to}
    return body("activity.created.v1", id or str(uuid.uuid4()), data)


def updated(name: str, *, id: str | None = None, time: str = LATER, **data: Any) -> str:  # noqa: A002
    """`user.updated.v1` of the user `name`, an hour after their sign-up."""
    profile = json.loads(sign_up(name, **data))["data"]
    return body("user.updated.v1", id or str(uuid.uuid4()), profile, time)


def deleted(name: str, activities: str = "erase", *, time: str = MUCH_LATER) -> str:
    """`user.deleted.v1` of the user `name`, two hours after their sign-up."""
    return body("user.deleted.v1", str(uuid.uuid4()), {"cognito_user_id": name, "activities": activities}, time)


def body(type_: str, id_: str, data: dict[str, Any], time: str = TIME) -> str:
    """An event as a message's body."""
    return json.dumps({"specversion": "1.0", "id": id_, "source": "/tests", "type": type_, "time": time, "data": data})
