"""One-off tasks of the tables' owner: `db migrate` and `db grant-worker`."""

import time
from collections.abc import Mapping
from typing import Any

POLLING_INTERVAL = 2  # seconds
MAX_WAIT = 1800  # seconds


class TaskFailed(Exception):
    """One line that says how it ended, and where its log is."""


def run(ecs: Any, values: Mapping[str, str], command: list[str]) -> None:
    """Run the owner's task with this command and wait until it has ended well. Raises `TaskFailed`."""
    answer = ecs.run_task(
        cluster=values["ClusterName"],
        taskDefinition=values["OwnerTaskArn"],
        launchType="FARGATE",
        overrides={"containerOverrides": [{"name": "owner", "command": command}]},
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": values["SubnetIds"].split(","),
                "securityGroups": [values["WorkerSecurityGroupId"]],
                "assignPublicIp": "DISABLED",
            }
        },
    )
    if failures := answer.get("failures"):
        raise TaskFailed(f"{' '.join(command)}: not started: {failures[0].get('reason')}")
    task = _wait_until_stopped(ecs, values["ClusterName"], answer["tasks"][0]["taskArn"])
    container = task["containers"][0]
    if container.get("exitCode") != 0:
        reason = container.get("reason") or task.get("stoppedReason") or f"exit status {container.get('exitCode')}"
        raise TaskFailed(f"{' '.join(command)}: {reason}; its log is in {values['TaskLogGroupName']}, stream owner/...")


def _wait_until_stopped(ecs: Any, cluster: str, task_arn: str) -> dict[str, Any]:
    deadline = time.monotonic() + MAX_WAIT
    while time.monotonic() < deadline:
        tasks = ecs.describe_tasks(cluster=cluster, tasks=[task_arn])["tasks"]
        if tasks and tasks[0]["lastStatus"] == "STOPPED":
            return dict(tasks[0])
        time.sleep(POLLING_INTERVAL)
    raise TaskFailed(f"{task_arn} still runs after {MAX_WAIT // 60} minutes; stop it, and look at its log")
