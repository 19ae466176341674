"""Stacks that CloudFormation cannot go on with, in states that no local server gets into: by stand-ins for AWS."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy.__main__ import Target, clear_away
from deploy.environment import Environment
from deploy.stacks import Stack, StackFailed

FAILURE = "Cannot delete protected DB Instance, please disable deletion protection and try again."


class Aws:
    """One stack, in a state, with a database in it; and RDS, which writes down what it is asked."""

    def __init__(self, status: str) -> None:
        self.status: str | None = status
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def client(self, service: str) -> "Aws":
        assert service in ("cloudformation", "rds", "cognito-idp")
        return self

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        if self.status is None:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "does not exist"}}, "DescribeStacks")
        return {"Stacks": [{"StackStatus": self.status}]}

    def describe_stack_events(self, **_: Any) -> dict[str, Any]:
        failed = {"EventId": "1", "LogicalResourceId": "Database", "ResourceStatus": "DELETE_FAILED"}
        return {"StackEvents": [{**failed, "ResourceStatusReason": FAILURE}]}

    def list_stack_resources(self, **_: Any) -> dict[str, Any]:
        database = {"ResourceType": "AWS::RDS::DBInstance", "ResourceStatus": "DELETE_FAILED"}
        pool = {"ResourceType": "AWS::Cognito::UserPool", "ResourceStatus": "DELETE_COMPLETE"}
        names = {"PhysicalResourceId": "left"}
        return {"StackResourceSummaries": [{**database, **names}, {**pool, **names}]}

    def modify_db_instance(self, **request: Any) -> None:
        self.asked.append(("modify_db_instance", request))

    def delete_stack(self, **request: Any) -> None:
        self.asked.append(("delete_stack", request))
        self.status = None

    def get_waiter(self, _: str) -> "Aws":
        return self

    def wait(self, **_: Any) -> None:
        assert self.status is None


@pytest.mark.parametrize(
    ("status", "command"),
    [
        ("UPDATE_ROLLBACK_FAILED", "aws cloudformation continue-update-rollback --stack-name signup-sync-dev-database"),
        ("DELETE_FAILED", "aws cloudformation delete-stack --stack-name signup-sync-dev-database"),
    ],
)
def test_a_stack_that_is_stuck_says_why_and_what_to_do(status: str, command: str) -> None:
    with pytest.raises(StackFailed) as failed:
        Stack(Aws(status), "database", "dev").propose({}, {})

    assert str(failed.value) == f"database: {status}: Database: {FAILURE}; mend the cause, then: {command}"


def test_a_protected_database_of_a_failed_creation_is_unprotected_and_goes_with_its_stack() -> None:
    aws = Aws("ROLLBACK_FAILED")

    assert clear_away(target(aws), Stack(aws, "database", "dev"), yes=True, dry_run=False)

    assert aws.asked == [
        ("modify_db_instance", {"DBInstanceIdentifier": "left", "DeletionProtection": False, "ApplyImmediately": True}),
        ("delete_stack", {"StackName": "signup-sync-dev-database"}),
    ]


def test_a_dry_run_says_what_a_deployment_would_do_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    aws = Aws("ROLLBACK_FAILED")

    assert not clear_away(target(aws), Stack(aws, "database", "dev"), yes=True, dry_run=True)

    assert not aws.asked
    assert f"database: ROLLBACK_FAILED, its creation failed: Database: {FAILURE}" in capsys.readouterr().err


def target(aws: Aws) -> Target:
    return Target(Environment("dev", "us-east-1"), aws, Path(), {})
