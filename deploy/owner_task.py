"""One-off tasks of the tables' owner: `db migrate` and the grants."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

# A role can be used some seconds after it was made, of which ECS says so (IAM User Guide, "Troubleshoot IAM", "Changes
# that I make are not always immediately visible").
_ROLE_IS_TOO_NEW = ("unable to assume", "AccessDenied")
ATTEMPTS = 6
RETRY_DELAY = 10  # seconds
POLLING_INTERVAL = 2  # seconds
MAX_WAIT = 1800  # seconds


class TaskFailed(Exception):
    """One line that says how it ended, and where its log is."""


def run(
    ecs: Any, values: Mapping[str, str], command: list[str], *, pause: Callable[[float], None] = time.sleep
) -> None:
    """Run the owner's task with this command and wait until it has ended well. Raises `TaskFailed`.

    One that could not start since its role is new is started again; it has done nothing.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return _run_once(ecs, values, command)
        except _RoleTooNew:
            pause(RETRY_DELAY)
    return _run_once(ecs, values, command)


class _RoleTooNew(TaskFailed):
    """ECS could not use a role of the task."""


def _run_once(ecs: Any, values: Mapping[str, str], command: list[str]) -> None:
    try:
        answer = _start(ecs, values, command)
    except ClientError as error:
        if "unable to assume" in str(error):
            raise _RoleTooNew(f"{' '.join(command)}: not started: {error}") from error
        raise
    if failures := answer.get("failures"):
        raise TaskFailed(f"{' '.join(command)}: not started: {failures[0].get('reason')}")
    task = _wait_until_stopped(ecs, values["ClusterName"], answer["tasks"][0]["taskArn"])
    container = task["containers"][0]
    if container.get("exitCode") == 0:
        return
    reason = container.get("reason") or task.get("stoppedReason") or f"exit status {container.get('exitCode')}"
    never_ran = container.get("exitCode") is None
    failed = _RoleTooNew if never_ran and any(text in reason for text in _ROLE_IS_TOO_NEW) else TaskFailed
    raise failed(f"{' '.join(command)}: {reason}; its log is in {values['TaskLogGroupName']}, stream owner/...")


def _start(ecs: Any, values: Mapping[str, str], command: list[str]) -> dict[str, Any]:
    answer: dict[str, Any] = ecs.run_task(
        cluster=values["ClusterName"],
        taskDefinition=values["OwnerTaskArn"],
        launchType="FARGATE",
        overrides={"containerOverrides": [{"name": "owner", "command": command}]},
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": values["SubnetIds"].split(","),
                "securityGroups": [values["WorkerSecurityGroupId"]],
                "assignPublicIp": values["AssignPublicIp"],
            }
        },
    )
    return answer


def _wait_until_stopped(ecs: Any, cluster: str, task_arn: str) -> dict[str, Any]:
    deadline = time.monotonic() + MAX_WAIT
    while time.monotonic() < deadline:
        tasks = ecs.describe_tasks(cluster=cluster, tasks=[task_arn])["tasks"]
        if tasks and tasks[0]["lastStatus"] == "STOPPED":
            return dict(tasks[0])
        time.sleep(POLLING_INTERVAL)
    raise TaskFailed(f"{task_arn} still runs after {MAX_WAIT // 60} minutes; stop it, and look at its log")
