"""The trigger of a pool that is there already; moto resets what an update leaves out, as Cognito does."""

from collections.abc import Iterator
from contextlib import closing
from copy import deepcopy
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

from deploy.__main__ import cli
from deploy.pool_trigger import CHANGES_BY_ITSELF, RENAMED, Proposal, TriggerNotAttached, as_update
from tests.support.sqs import REGION, SqsServer, aws_environment
from tests.support.user_pool import cognito_client

FUNCTION = f"arn:aws:lambda:{REGION}:123456789012:function:signup-sync-prod-trigger"
OTHER = f"arn:aws:lambda:{REGION}:123456789012:function:welcome"

# Nothing of it is Cognito's default.
SETTINGS: dict[str, Any] = {
    "AccountRecoverySetting": {"RecoveryMechanisms": [{"Name": "verified_email", "Priority": 1}]},
    "AdminCreateUserConfig": {
        "AllowAdminCreateUserOnly": True,
        "InviteMessageTemplate": {"EmailMessage": "Come, {username}: {####}", "EmailSubject": "Come"},
    },
    "AutoVerifiedAttributes": ["email"],
    "DeletionProtection": "ACTIVE",
    "DeviceConfiguration": {"ChallengeRequiredOnNewDevice": True},
    "EmailConfiguration": {"EmailSendingAccount": "COGNITO_DEFAULT", "ReplyToEmailAddress": "help@example.com"},
    "LambdaConfig": {"PreSignUp": OTHER, "CustomMessage": OTHER},
    "MfaConfiguration": "OPTIONAL",
    "Policies": {"PasswordPolicy": {"MinimumLength": 14, "TemporaryPasswordValidityDays": 3}},
    "SmsAuthenticationMessage": "Here: {####}",
    "SmsConfiguration": {"SnsCallerArn": "arn:aws:iam::123456789012:role/sms", "ExternalId": "mine"},
    "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
    "UserPoolAddOns": {"AdvancedSecurityMode": "AUDIT"},
    "UserPoolTags": {"team": "accounts"},
    "UserPoolTier": "PLUS",
    "VerificationMessageTemplate": {
        "DefaultEmailOption": "CONFIRM_WITH_CODE",
        "EmailMessage": "Your code: {####}",
        "EmailSubject": "Code",
        "SmsMessage": "Code: {####}",
    },
}


@pytest.fixture
def cognito(sqs_server: SqsServer) -> Iterator[CognitoIdentityProviderClient]:
    with closing(cognito_client(sqs_server.endpoint_url)) as client:
        yield client


@pytest.fixture
def pool_id(cognito: CognitoIdentityProviderClient) -> Iterator[str]:
    # Without UsernameAttributes, which no update changes: moto loses them.
    pool = cognito.create_user_pool(PoolName="theirs", **SETTINGS)["UserPool"]["Id"]
    yield pool
    cognito.delete_user_pool(UserPoolId=pool)


def described(cognito: CognitoIdentityProviderClient, pool_id: str) -> dict[str, Any]:
    pool = dict(cognito.describe_user_pool(UserPoolId=pool_id)["UserPool"])
    return {name: value for name, value in pool.items() if name not in CHANGES_BY_ITSELF}


def shapes() -> tuple[dict[str, Any], dict[str, Any]]:
    """The members of UpdateUserPool's input, and those of the pool that DescribeUserPool answers."""
    model: Any = boto3.client("cognito-idp", region_name=REGION).meta.service_model
    answer = model.operation_model("DescribeUserPool").output_shape
    return model.operation_model("UpdateUserPool").input_shape.members, answer.members["UserPool"].members


def run(sqs_server: SqsServer, *arguments: str, answer: str = "") -> Result:
    environment = {**aws_environment(sqs_server.endpoint_url), "AWS_ENDPOINT_URL": sqs_server.endpoint_url}
    return CliRunner().invoke(cli, ["attach-trigger", *arguments], input=answer, env=environment)


def test_an_update_of_the_trigger_alone_would_reset_the_rest(
    cognito: CognitoIdentityProviderClient, pool_id: str
) -> None:
    """What all this is for; and that moto is good enough to notice."""
    cognito.update_user_pool(UserPoolId=pool_id, LambdaConfig={"PostConfirmation": FUNCTION})

    assert described(cognito, pool_id)["LambdaConfig"] == {"PostConfirmation": FUNCTION}
    assert "ReplyToEmailAddress" not in described(cognito, pool_id)["EmailConfiguration"]


def test_the_trigger_is_set_and_nothing_else_is_different(
    sqs_server: SqsServer, cognito: CognitoIdentityProviderClient, pool_id: str
) -> None:
    before = described(cognito, pool_id)

    result = run(sqs_server, pool_id, FUNCTION, answer="y\n")

    assert result.exit_code == 0, result.output
    assert f'+    "PostConfirmation": "{FUNCTION}",' in result.output
    assert "nothing else of the pool has changed" in result.output
    before["LambdaConfig"]["PostConfirmation"] = FUNCTION
    before["AdminCreateUserConfig"].pop("UnusedAccountValidityDays", None)
    assert described(cognito, pool_id) == before
    assert "it is set already" in run(sqs_server, pool_id, FUNCTION).output


@pytest.mark.parametrize(("arguments", "answer", "status"), [(["--dry-run"], "", 0), ([], "n\n", 2)])
def test_nothing_is_changed_that_was_not_agreed_to(
    arguments: list[str],
    answer: str,
    status: int,
    sqs_server: SqsServer,
    cognito: CognitoIdentityProviderClient,
    pool_id: str,
) -> None:
    before = described(cognito, pool_id)

    result = run(sqs_server, pool_id, FUNCTION, *arguments, answer=answer)

    assert result.exit_code == status
    assert f'+    "PostConfirmation": "{FUNCTION}",' in result.output
    assert described(cognito, pool_id) == before


def test_a_pool_that_calls_another_function_is_left_alone(
    sqs_server: SqsServer, cognito: CognitoIdentityProviderClient, pool_id: str
) -> None:
    Proposal.read(cognito, pool_id, OTHER).carry_out(cognito)

    result = run(sqs_server, pool_id, FUNCTION, "--yes")

    assert result.exit_code == 2
    assert result.output == f"Error: {pool_id} calls {OTHER} already: call `enqueue` there (docs/existing-pool.md)\n"
    assert described(cognito, pool_id)["LambdaConfig"]["PostConfirmation"] == OTHER


def test_a_pool_that_was_changed_since_it_was_shown_is_left_alone(
    cognito: CognitoIdentityProviderClient, pool_id: str
) -> None:
    shown = Proposal.read(cognito, pool_id, FUNCTION)
    cognito.update_user_pool(**{**shown.now, "DeletionProtection": "INACTIVE"})

    with pytest.raises(TriggerNotAttached, match="changed meanwhile"):
        shown.carry_out(cognito)
    assert "PostConfirmation" not in described(cognito, pool_id)["LambdaConfig"]


def test_whatever_else_an_update_changes_is_told(cognito: CognitoIdentityProviderClient, pool_id: str) -> None:
    shown = Proposal.read(cognito, pool_id, FUNCTION)
    del shown.then["UserPoolAddOns"]

    with pytest.raises(TriggerNotAttached, match=r"this changed, too: UserPoolAddOns\n"):
        shown.carry_out(cognito)


@pytest.mark.parametrize(
    "arguments", [("pool", FUNCTION), ("eu-west-1_aBc", FUNCTION), ("us-east-1_aBc", "arn:aws:sqs")]
)
def test_a_pool_and_a_function_of_two_regions_are_named(arguments: tuple[str, str], sqs_server: SqsServer) -> None:
    result = run(sqs_server, *arguments)

    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "the same region" in result.output


def test_every_member_that_can_be_written_back_is() -> None:
    """By boto3's own model of the two calls: what AWS adds to both is written back, too."""
    update, pool = shapes()

    written = as_update({name: {} for name in pool}, set(update))

    assert written.keys() == update.keys()
    assert {RENAMED.get(name, name) for name in update} <= pool.keys()


def test_every_member_has_the_same_shape_when_it_is_read_as_when_it_is_written() -> None:
    update, pool = shapes()

    assert [name for name in update if name not in RENAMED and update[name].name != pool[name].name] == []


def test_what_cognito_answers_and_refuses_to_take_back_is_left_out() -> None:
    pool = {
        "Policies": {"PasswordPolicy": {"TemporaryPasswordValidityDays": 7}},
        "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": False, "UnusedAccountValidityDays": 7},
        "VerificationMessageTemplate": {
            "DefaultEmailOption": "CONFIRM_WITH_LINK",
            "EmailMessage": "{####}",
            "EmailMessageByLink": "{##here##}",
        },
        "UserPoolTags": {"aws:cloudformation:stack-name": "pools", "team": "accounts"},
    }
    read = deepcopy(pool)

    written = as_update(pool, set(pool))

    assert written["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": False}
    assert written["VerificationMessageTemplate"] == {
        "DefaultEmailOption": "CONFIRM_WITH_LINK",
        "EmailMessageByLink": "{##here##}",
    }
    assert written["UserPoolTags"] == {"team": "accounts"}
    assert pool == read
