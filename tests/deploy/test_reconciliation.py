"""The reconciliation by hand: with a stand-in for the three services that has one task and its log."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy import reconciliation
from deploy.owner_task import TaskFailed
from deploy.reconciliation import Clients

TARGET = {
    "Arn": "arn:cluster",
    "EcsParameters": {
        "TaskDefinitionArn": "arn:task-definition:3",
        "LaunchType": "FARGATE",
        "NetworkConfiguration": {
            "awsvpcConfiguration": {"Subnets": ["subnet-1"], "SecurityGroups": ["sg-1"], "AssignPublicIp": "DISABLED"}
        },
    },
}
CONTAINER = {
    "name": "reconcile",
    "command": ["reconcile", "--user-pool-id", "us-east-1_x", "--json"],
    "logConfiguration": {"options": {"awslogs-group": "/group", "awslogs-stream-prefix": "reconcile"}},
}


class Services:
    """Scheduler, ECS and CloudWatch Logs; the task ends when it was looked at twice."""

    def __init__(self, ended: dict[str, Any], *, reason: str = "", lines: tuple[str, ...] = ()) -> None:
        self.asked: dict[str, Any] = {}
        self._container, self._reason = ended, reason
        self._lines = lines
        self._looks = 0

    def get_schedule(self, Name: str) -> dict[str, Any]:  # noqa: N803 (boto3's names)
        if Name != "signup-sync-prod-reconcile":
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": Name}}, "GetSchedule")
        return {"Target": TARGET}

    def describe_task_definition(self, taskDefinition: str) -> dict[str, Any]:  # noqa: N803
        return {"taskDefinition": {"containerDefinitions": [CONTAINER], "taskDefinitionArn": taskDefinition}}

    def run_task(self, **asked: Any) -> dict[str, Any]:
        self.asked = asked
        return {"tasks": [{"taskArn": "arn:task/cluster/abc"}], "failures": []}

    def describe_tasks(self, **_: Any) -> dict[str, Any]:
        self._looks += 1
        status = "STOPPED" if self._looks == 2 else "RUNNING"
        return {"tasks": [{"lastStatus": status, "stoppedReason": self._reason, "containers": [self._container]}]}

    def get_log_events(
        self,
        logGroupName: str,  # noqa: N803
        logStreamName: str,  # noqa: N803
        nextToken: str = "0",  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        """A line at a time; there is no stream before the task has ended."""
        assert (logGroupName, logStreamName) == ("/group", "reconcile/reconcile/abc")
        if self._looks < 2 or not self._lines:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "stream"}}, "GetLogEvents")
        position = int(nextToken)
        events = [{"message": line} for line in self._lines[position : position + 1]]
        return {"events": events, "nextForwardToken": str(position + len(events))}


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "POLLING_INTERVAL", 0)


def run(services: Services, environment: str = "prod", *options: str) -> tuple[int, list[str]]:
    shown: list[str] = []
    status = reconciliation.run(Clients(services, services, services), environment, list(options), shown.append)
    return status, shown


def test_the_schedules_task_runs_in_the_schedules_network_with_the_options_behind_its_own() -> None:
    services = Services({"exitCode": 0})
    run(services, "prod", "--dry-run")

    assert services.asked == {
        "cluster": "arn:cluster",
        "taskDefinition": "arn:task-definition:3",
        "launchType": "FARGATE",
        "overrides": {"containerOverrides": [{"name": "reconcile", "command": [*CONTAINER["command"], "--dry-run"]}]},
        "networkConfiguration": {
            "awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"}
        },
    }


@pytest.mark.parametrize("status", [0, 1])
def test_the_whole_log_is_shown_once_and_the_exit_status_is_the_tasks(status: int) -> None:
    assert run(Services({"exitCode": status}, lines=("first", "second", "last"))) == (
        status,
        ["first", "second", "last"],
    )


def test_a_task_that_never_ran_is_no_success() -> None:
    with pytest.raises(TaskFailed, match="CannotPullContainerError"):
        run(Services({"name": "reconcile"}, reason="CannotPullContainerError: gone"))


def test_an_environment_that_is_not_deployed_is_named() -> None:
    with pytest.raises(TaskFailed, match="there is no schedule signup-sync-dev-reconcile: run deploy/deploy dev first"):
        run(Services({"exitCode": 0}), "dev")
