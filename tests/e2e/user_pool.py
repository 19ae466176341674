"""A user pool of cognito-local, used as the sign-up form of a web site would use it."""

from dataclasses import dataclass
from typing import Self

import boto3
from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

from tests.e2e.node_parts import CONFIRMATION_CODE

PASSWORD = "Correct-horse-battery-1"  # noqa: S105 (nobody's)
NEW_PASSWORD = "Correct-horse-battery-2"  # noqa: S105


def cognito_client(address: str) -> CognitoIdentityProviderClient:
    """A client of the Cognito at `address`; whoever asks for it closes it."""
    return boto3.client(
        "cognito-idp",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


@dataclass(frozen=True)
class UserPool:
    """One user pool with one app client."""

    cognito: CognitoIdentityProviderClient
    id: str
    client_id: str

    @classmethod
    def create(cls, cognito: CognitoIdentityProviderClient, *, sign_in_with_email: bool) -> Self:
        """Make a pool whose users have no name but their e-mail address, or one in which they choose a username.

        In the first kind the trigger's `userName` is the user's `sub`, in the second what they have chosen. They may
        choose their e-mail address there too.
        """
        pool = cognito.create_user_pool(
            PoolName="e2e",
            AutoVerifiedAttributes=["email"],
            UsernameAttributes=["email"] if sign_in_with_email else [],
            Schema=[{"Name": "tenant_id", "AttributeDataType": "String", "Mutable": True}],
        )
        client = cognito.create_user_pool_client(UserPoolId=pool["UserPool"]["Id"], ClientName="web")
        return cls(cognito, pool["UserPool"]["Id"], client["UserPoolClient"]["ClientId"])

    def sign_up(self, username: str, **attributes: str) -> str:
        """Sign up and confirm with the code that was sent; return the user's `sub`."""
        signed_up = self.cognito.sign_up(
            ClientId=self.client_id,
            Username=username,
            Password=PASSWORD,
            UserAttributes=[{"Name": name, "Value": value} for name, value in attributes.items()],
        )
        self.cognito.confirm_sign_up(ClientId=self.client_id, Username=username, ConfirmationCode=CONFIRMATION_CODE)
        return signed_up["UserSub"]

    def delete(self, username: str) -> None:
        """As an administrator."""
        self.cognito.admin_delete_user(UserPoolId=self.id, Username=username)

    def reset_forgotten_password(self, username: str) -> None:
        """Ask for a code, and set a new password with it."""
        self.cognito.forgot_password(ClientId=self.client_id, Username=username)
        self.cognito.confirm_forgot_password(
            ClientId=self.client_id, Username=username, ConfirmationCode=CONFIRMATION_CODE, Password=NEW_PASSWORD
        )
