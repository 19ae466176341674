"""Cognito: every call to it, for the users of a user pool."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from signup_sync.aws_errors import AwsError, explain, refuse_cut_answers

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp.client import CognitoIdentityProviderClient

PAGE_SIZE = 60  # users, the most that ListUsers gives (API Reference, ListUsers, "Limit")
FILTER_LENGTH = 256  # characters (the same, "Filter")
CONNECT_TIMEOUT = 3.0  # seconds
READ_TIMEOUT = 20.0  # seconds
CALL_ATTEMPTS = 8  # of one call: over half a minute when it is throttled, and seconds when nobody is there


class CognitoError(AwsError):
    """A call to Cognito failed."""


@dataclass(frozen=True, slots=True)
class PoolUser:
    """A user as Cognito has them. `sub` is one of the attributes."""

    username: str
    status: str
    enabled: bool
    created_at: datetime
    modified_at: datetime
    attributes: dict[str, str]

    @property
    def sub(self) -> str:
        return self.attributes["sub"]


def connect(*, attempts: int = CALL_ATTEMPTS) -> "CognitoIdentityProviderClient":
    """A client of the region, the endpoint and the credentials that the standard AWS settings name.

    It slows down when it is throttled, and stays slow for a while (Boto3 documentation, "Retries", "Adaptive retry
    mode"): the quota for ListUsers is shared by all who call it in this account and region. Raises `CognitoError`.
    """
    import boto3  # noqa: PLC0415 (see `signup_sync.sqs.connect`)
    from botocore.config import Config  # noqa: PLC0415 (see `signup_sync.sqs.connect`)

    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "adaptive", "total_max_attempts": attempts},
    )
    try:
        client = boto3.client("cognito-idp", config=config)
    except (BotoCoreError, ValueError) as error:
        raise _cognito_error("Connect", error) from error
    refuse_cut_answers(client)
    return client


class UserPool:
    """One user pool."""

    def __init__(self, pool_id: str, client: "CognitoIdentityProviderClient") -> None:
        self.id = pool_id
        self._client = client

    def pages(self) -> Iterator[list[PoolUser]]:
        """All users, page by page, in no order. Raises `CognitoError`.

        A user who is added meanwhile may be missing, and so may one who was added seconds before: ListUsers is
        "eventually consistent" (API Reference, ListUsers).
        """
        paginator = self._client.get_paginator("list_users")
        try:
            for page in paginator.paginate(UserPoolId=self.id, PaginationConfig={"PageSize": PAGE_SIZE}):
                yield [_pool_user(user) for user in page["Users"]]
        except (BotoCoreError, ClientError) as error:
            raise _cognito_error("ListUsers", error) from error

    def find(self, attribute: str, value: str) -> list[PoolUser]:
        """Up to 60 users with that value in a standard attribute, or in `username` or `sub`. Raises `CognitoError`.

        A value that cannot be put into a filter has no users (API Reference, ListUsers, "Filter").
        """
        text = f'{attribute} = "{value}"'
        if len(text) > FILTER_LENGTH or not value.isprintable() or '"' in value or "\\" in value:
            return []
        try:
            answer = self._client.list_users(UserPoolId=self.id, Filter=text, Limit=PAGE_SIZE)
        except (BotoCoreError, ClientError) as error:
            raise _cognito_error("ListUsers", error) from error
        return [_pool_user(user) for user in answer["Users"]]

    def estimated_size(self) -> int | None:
        """About how many users there are, or None if we may not ask."""
        try:
            return self._client.describe_user_pool(UserPoolId=self.id)["UserPool"].get("EstimatedNumberOfUsers")
        except (BotoCoreError, ClientError):
            return None


def _pool_user(user: Any) -> PoolUser:
    return PoolUser(
        username=user["Username"],
        status=user["UserStatus"],
        enabled=user["Enabled"],
        created_at=user["UserCreateDate"],
        modified_at=user["UserLastModifiedDate"],
        attributes={attribute["Name"]: attribute.get("Value", "") for attribute in user["Attributes"]},
    )


def _cognito_error(operation: str, error: Exception) -> CognitoError:
    endpoint_variable = "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"
    code, text = explain(error, action=f"cognito-idp:{operation}", endpoint_variable=endpoint_variable)
    return CognitoError(operation, code, text)
