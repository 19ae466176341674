"""A user pool of moto's Cognito, as an administrator sees it."""

from dataclasses import dataclass
from typing import Self

import boto3
from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

from tests.support.sqs import REGION

LIST_USERS = "AWSCognitoIdentityProviderService.ListUsers"
"""The action, as `FaultProxy` knows it."""

_PASSWORD = "Correct-horse-battery-1"  # noqa: S105 (nobody's)


def cognito_client(endpoint_url: str) -> CognitoIdentityProviderClient:
    """A client of the Cognito at `endpoint_url`; whoever asks for it closes it."""
    return boto3.client(
        "cognito-idp",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def cognito_environment(endpoint_url: str) -> dict[str, str]:
    """What leads a child process to the Cognito at `endpoint_url`, besides `aws_environment`."""
    return {"AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": endpoint_url}


@dataclass(frozen=True)
class AdministratedPool:
    """One user pool. Methods that make a user return their `sub`.

    moto has no federated users (status EXTERNAL_PROVIDER).
    """

    cognito: CognitoIdentityProviderClient
    id: str
    client_id: str

    @classmethod
    def create(cls, endpoint_url: str) -> Self:
        cognito = cognito_client(endpoint_url)
        pool_id = cognito.create_user_pool(PoolName="pool")["UserPool"]["Id"]
        client = cognito.create_user_pool_client(UserPoolId=pool_id, ClientName="web")["UserPoolClient"]
        return cls(cognito, pool_id, client["ClientId"])

    def close(self) -> None:
        """Remove the pool, and close the client."""
        self.cognito.delete_user_pool(UserPoolId=self.id)
        self.cognito.close()

    def invite(self, username: str, **attributes: str) -> str:
        """A user whom the administrator created: FORCE_CHANGE_PASSWORD."""
        user = self.cognito.admin_create_user(
            UserPoolId=self.id,
            Username=username,
            UserAttributes=[{"Name": name, "Value": value} for name, value in attributes.items()],
        )["User"]
        return next(attribute["Value"] for attribute in user["Attributes"] if attribute["Name"] == "sub")

    def confirm(self, username: str, **attributes: str) -> str:
        """A user with a password of their own: CONFIRMED."""
        sub = self.invite(username, **attributes)
        self.cognito.admin_set_user_password(UserPoolId=self.id, Username=username, Password=_PASSWORD, Permanent=True)
        return sub

    def require_reset(self, username: str) -> str:
        """A user as they are after an import: RESET_REQUIRED."""
        sub = self.confirm(username, email=f"{username}@example.org", email_verified="true")
        self.cognito.admin_reset_user_password(UserPoolId=self.id, Username=username)
        return sub

    def disable(self, username: str) -> None:
        self.cognito.admin_disable_user(UserPoolId=self.id, Username=username)

    def sign_up(self, username: str) -> str:
        """A user who has not confirmed: UNCONFIRMED."""
        return self.cognito.sign_up(ClientId=self.client_id, Username=username, Password=_PASSWORD)["UserSub"]
