"""Who is deleted in Cognito becomes an event that the worker takes: the rule of deletions.yaml on CloudTrail's records.

The records have the members that CloudTrail documents (Cognito Developer Guide, "Amazon Cognito logging in AWS
CloudTrail"; CloudTrail User Guide, "CloudTrail record contents for management, data, and network activity events").
"""

import json
import re
from typing import Any

import pytest
from moto.events.models import EventPattern

from signup_sync.events import UserDeleted, parse_event
from tests.deploy.templates import read

POOL = "us-east-1_Example01"
SUB = "c67ec280-799a-40d6-b398-2a2b31aefbbd"
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"

BY_ADMINISTRATOR = {
    "eventName": "AdminDeleteUser",
    "userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::123456789012:assumed-role/support/grace"},
    "requestParameters": {"userPoolId": POOL, "username": HIDDEN},
}
BY_THEMSELVES = {
    "eventName": "DeleteUser",
    "userIdentity": {"type": "Unknown", "principalId": "Anonymous"},
    "requestParameters": {"accessToken": HIDDEN},
}


def record(call: dict[str, Any], **detail: Any) -> dict[str, Any]:
    """A call as EventBridge delivers it."""
    return {
        "version": "0",
        "id": "0e1c1f43-5c4b-4d5e-9a3c-0d0f7a5d4a11",
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.cognito-idp",
        "account": "123456789012",
        "time": "2026-01-31T12:00:04Z",
        "region": "us-east-1",
        "resources": [],
        "detail": {
            "eventVersion": "1.08",
            "eventTime": "2026-01-31T12:00:00Z",
            "eventSource": "cognito-idp.amazonaws.com",
            "awsRegion": "us-east-1",
            "sourceIPAddress": "192.0.2.1",
            "userAgent": 'Mozilla/5.0 "quoted"',
            "responseElements": None,
            "additionalEventData": {"sub": SUB},
            "requestID": "7a40f1a5-2a5a-4d5f-8a44-4b46ad0c9f0b",
            "eventID": "1b231015-853a-4042-a157-4127a9ec5530",
            "readOnly": False,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": "123456789012",
            "eventCategory": "Management",
            **call,
            **detail,
        },
    }


@pytest.fixture(scope="module")
def rule() -> dict[str, Any]:
    return dict(read("deletions")["Resources"]["Deletions"]["Properties"])


def matches(rule: dict[str, Any], event: dict[str, Any]) -> bool:
    """By moto's reading of EventBridge's patterns."""
    pattern = json.dumps(rule["EventPattern"]).replace('{"Ref": "UserPoolId"}', json.dumps(POOL))
    return bool(EventPattern(pattern, json.loads(pattern)).matches_event(event))  # type: ignore[arg-type]


def transformed(rule: dict[str, Any], event: dict[str, Any]) -> str:
    """What the target is sent (EventBridge User Guide, "Amazon EventBridge input transformation")."""
    [target] = rule["Targets"]
    values: dict[str, Any] = {}
    for name, path in target["InputTransformer"]["InputPathsMap"].items():
        value: Any = event
        for key in path.removeprefix("$.").split("."):
            value = value[key]
        values[name] = value
    return re.sub(r"<(\w+)>", lambda found: str(values[found[1]]), target["InputTransformer"]["InputTemplate"])


@pytest.mark.parametrize("call", [BY_ADMINISTRATOR, BY_THEMSELVES], ids=["by an administrator", "by themselves"])
def test_who_is_deleted_in_cognito_is_erased(rule: dict[str, Any], call: dict[str, Any]) -> None:
    event = record(call)
    assert matches(rule, event)

    deletion = parse_event(transformed(rule, event))

    assert isinstance(deletion, UserDeleted)
    assert str(deletion.id) == event["detail"]["eventID"]
    assert deletion.time.isoformat() == "2026-01-31T12:00:00+00:00"
    assert (deletion.data.cognito_user_id, deletion.data.activities) == (SUB, "erase")


@pytest.mark.parametrize(
    "event",
    [
        record(BY_ADMINISTRATOR, requestParameters={"userPoolId": "us-east-1_Another", "username": HIDDEN}),
        record(BY_ADMINISTRATOR, errorCode="UserNotFoundException"),
        record(BY_THEMSELVES, errorCode="NotAuthorizedException"),
        record(BY_THEMSELVES, additionalEventData={}),
        record(BY_ADMINISTRATOR, eventName="AdminDisableUser"),
        record(BY_THEMSELVES, eventName="GlobalSignOut"),
        {**record(BY_THEMSELVES), "source": "aws.iam"},
    ],
    ids=[
        "another pool",
        "no such user",
        "not authorized",
        "without a sub",
        "disabled",
        "signed out",
        "of IAM",
    ],
)
def test_any_other_call_and_one_that_failed_erases_nobody(rule: dict[str, Any], event: dict[str, Any]) -> None:
    assert not matches(rule, event)


def test_nobody_is_followed_unless_it_is_switched_on(rule: dict[str, Any]) -> None:
    assert rule["State"] == {"Fn::If": ["Follows", "ENABLED", "DISABLED"]}
    assert read("deletions")["Parameters"]["FollowDeletions"]["Default"] == "false"


def test_of_all_rules_this_one_may_send_to_the_events_queue(rule: dict[str, Any]) -> None:
    statements = read("queues")["Resources"]["EventsQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    allowed = [statement for statement in statements if statement["Effect"] == "Allow"]

    [statement] = allowed
    assert (statement["Principal"], statement["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    source = statement["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::Sub"]
    assert source.rpartition(":rule/")[2] == rule["Name"]["Fn::Sub"]
