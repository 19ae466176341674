"""Sign-ups as the Lambda sends them, each of a user of its own."""

import json
import uuid
from datetime import UTC, datetime

SOURCE = "/cognito/us-east-1_benchmark"


def sign_up() -> str:
    """An event of now."""
    sub = str(uuid.uuid4())
    return json.dumps(
        {
            "specversion": "1.0",
            "id": sub,
            "source": SOURCE,
            "type": "user.signed_up.v1",
            "time": datetime.now(UTC).isoformat(),
            "data": {
                "cognito_user_id": sub,
                "email": f"{sub}@example.com",
                "display_name": "Somebody with a Name",
                "handle": f"user-{sub}",
            },
        }
    )


def sign_ups(count: int) -> list[str]:
    return [sign_up() for _ in range(count)]
