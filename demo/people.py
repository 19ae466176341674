"""Who signs up in the demo, as Cognito tells the Lambda."""

import uuid
from dataclasses import dataclass, field
from typing import Any

USER_POOL_ID = "us-east-1_Demo"

CONFIRMED_SIGN_UP = "PostConfirmation_ConfirmSignUp"
CONFIRMED_PASSWORD = "PostConfirmation_ConfirmForgotPassword"  # noqa: S105 (a trigger source's name)


@dataclass(frozen=True)
class Person:
    """A Cognito user; `sub` is the id that Cognito gives them."""

    name: str
    handle: str
    user_name: str
    sub: str = field(default_factory=lambda: str(uuid.uuid4()))

    def confirmation(self, trigger_source: str = CONFIRMED_SIGN_UP) -> dict[str, Any]:
        """The event of Cognito's trigger (Amazon Cognito Developer Guide, "Post confirmation Lambda trigger")."""
        attributes = {
            "sub": self.sub,
            "cognito:user_status": "CONFIRMED",
            "email": f"{self.user_name}@example.com",
            "email_verified": "true",
            "name": self.name,
            "preferred_username": self.handle,
        }
        return {
            "version": "1",
            "region": "us-east-1",
            "userPoolId": USER_POOL_ID,
            "userName": self.user_name,
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "demo"},
            "triggerSource": trigger_source,
            "request": {"userAttributes": attributes},
            "response": {},
        }


@dataclass(frozen=True)
class Cast:
    """Everybody in the demo. The two Graces want the same handle."""

    ada: Person = field(default_factory=lambda: Person("Ada Lovelace", "ada", "ada"))
    alan: Person = field(default_factory=lambda: Person("Alan Turing", "alan", "alan"))
    grace: Person = field(default_factory=lambda: Person("Grace Hopper", "grace", "grace"))
    mary: Person = field(default_factory=lambda: Person("Mary Jackson", "mary", "mary"))
    other_grace: Person = field(default_factory=lambda: Person("Grace Young", "Grace", "young"))
