"""A task of the owner, with a stand-in for ECS that plays what it is told to."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy import owner_task
from deploy.__main__ import owner_commands
from deploy.owner_task import ATTEMPTS, TaskFailed

VALUES = {
    "ClusterName": "signup-sync-dev",
    "OwnerTaskArn": "owner",
    "SubnetIds": "subnet-1,subnet-2",
    "WorkerSecurityGroupId": "sg-1",
    "AssignPublicIp": "DISABLED",
    "TaskLogGroupName": "/signup-sync/dev/tasks",
}
ROLE_REFUSED = ClientError(
    {
        "Error": {
            "Code": "ClientException",
            "Message": "ECS was unable to assume the role 'arn:aws:iam::123456789012:role/owner' that was provided",
        }
    },
    "RunTask",
)
NEVER_RAN = {
    "lastStatus": "STOPPED",
    "stoppedReason": "ResourceInitializationError: unable to pull secrets or registry auth: AccessDeniedException",
    "containers": [{}],
}
ENDED_WELL = {"lastStatus": "STOPPED", "containers": [{"exitCode": 0}]}
ENDED_BADLY = {"lastStatus": "STOPPED", "containers": [{"exitCode": 2}]}


class Ecs:
    """What each start of a task comes to."""

    def __init__(self, *outcomes: ClientError | dict[str, Any]) -> None:
        self._outcomes = list(outcomes)
        self.started: list[dict[str, Any]] = []

    def run_task(self, **request: Any) -> dict[str, Any]:
        self.started.append(request)
        outcome = self._outcomes[0]
        if isinstance(outcome, ClientError):
            self._outcomes.pop(0)
            raise outcome
        return {"tasks": [{"taskArn": "task"}]}

    def describe_tasks(self, cluster: str, tasks: list[str]) -> dict[str, Any]:
        assert (cluster, tasks) == ("signup-sync-dev", ["task"])
        return {"tasks": [self._outcomes.pop(0)]}


def test_a_task_whose_role_is_too_new_is_started_again() -> None:
    pauses: list[float] = []
    ecs = Ecs(ROLE_REFUSED, NEVER_RAN, ENDED_WELL)

    owner_task.run(ecs, VALUES, ["db", "migrate"], pause=pauses.append)

    assert len(ecs.started) == 3
    assert len(pauses) == 2


def test_a_role_that_stays_refused_is_said() -> None:  # a policy that lacks something looks the same
    ecs = Ecs(*[ROLE_REFUSED] * ATTEMPTS)

    with pytest.raises(TaskFailed, match="unable to assume the role"):
        owner_task.run(ecs, VALUES, ["db", "migrate"], pause=lambda _: None)
    assert len(ecs.started) == ATTEMPTS


def test_a_command_that_ran_and_failed_is_not_repeated() -> None:
    ecs = Ecs(ENDED_BADLY)

    with pytest.raises(TaskFailed, match="db migrate: exit status 2; its log is in /signup-sync/dev/tasks"):
        owner_task.run(ecs, VALUES, ["db", "migrate"], pause=lambda _: None)


def test_a_task_has_the_address_that_the_network_needs() -> None:
    ecs = Ecs(ENDED_WELL)

    owner_task.run(ecs, {**VALUES, "AssignPublicIp": "ENABLED"}, ["db", "migrate"])

    (request,) = ecs.started
    assert request["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": ["subnet-1", "subnet-2"],
        "securityGroups": ["sg-1"],
        "assignPublicIp": "ENABLED",
    }


def test_the_applications_role_is_granted_what_it_reads_if_one_is_named() -> None:
    assert owner_commands({}) == [["db", "migrate"], ["db", "grant-worker"]]
    assert owner_commands({"DatabaseLogin": "iam", "ReaderRole": "application"}) == [
        ["db", "migrate"],
        ["db", "grant-worker", "--iam"],
        ["db", "grant-reader", "application"],
    ]


def test_the_reconciliation_gets_a_role_that_reads_profiles_if_it_follows_changes() -> None:
    assert ["db", "grant-reconciler", "--iam"] in owner_commands({"ReconcileChanges": "true"})
    assert owner_commands({"ReconcileChanges": "false"}) == owner_commands({})
