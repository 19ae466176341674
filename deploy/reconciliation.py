"""The reconciliation, run now instead of by the clock: the same task in the same network, with its log and exit status.

What the task is and where it runs is read from the schedule, so that both are always the same.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from deploy.owner_task import TaskFailed

POLLING_INTERVAL = 2  # seconds
NOT_THERE_YET = "ResourceNotFoundException"  # CloudWatch Logs API reference, GetLogEvents, "Errors"


@dataclass(frozen=True)
class Clients:
    """boto3's clients of the three services that are asked."""

    scheduler: Any
    ecs: Any
    logs: Any


def run(clients: Clients, environment: str, options: list[str], show: Callable[[str], None]) -> int:
    """Start the task, show each line of its log, and return its exit status.

    `options` are those of `signup-sync reconcile` besides the ones that the task definition has. Raises `TaskFailed` if
    the environment has no schedule, or the task could not be started.
    """
    target = _schedule(clients.scheduler, environment)
    cluster, parameters = target["Arn"], target["EcsParameters"]
    definition = clients.ecs.describe_task_definition(taskDefinition=parameters["TaskDefinitionArn"])["taskDefinition"]
    container = definition["containerDefinitions"][0]
    task = _start(clients.ecs, cluster, parameters, container, options)
    log = _Log(clients.logs, container, task)
    while (state := _state(clients.ecs, cluster, task)).get("lastStatus") != "STOPPED":
        log.show(show)
        time.sleep(POLLING_INTERVAL)
    log.show(show)
    return _exit_status(state, log)


class _Log:
    """The log stream of a task's container, read from where it was read to."""

    def __init__(self, logs: Any, container: dict[str, Any], task: str) -> None:
        options = container["logConfiguration"]["options"]
        self._logs = logs
        self.group = options["awslogs-group"]
        # Amazon ECS Developer Guide, "Send Amazon ECS logs to CloudWatch", awslogs-stream-prefix.
        self.stream = f"{options['awslogs-stream-prefix']}/{container['name']}/{task.rpartition('/')[2]}"
        self._position: dict[str, str] = {}

    def show(self, show: Callable[[str], None]) -> None:
        """Show what has come since the last time."""
        while True:
            try:
                answer = self._logs.get_log_events(
                    logGroupName=self.group, logStreamName=self.stream, startFromHead=True, **self._position
                )
            except ClientError as error:
                if error.response["Error"]["Code"] == NOT_THERE_YET:
                    return
                raise
            for event in answer["events"]:
                show(event["message"])
            position = {"nextToken": answer["nextForwardToken"]}
            if position == self._position:  # CloudWatch Logs API reference, GetLogEvents, nextForwardToken: the end
                return
            self._position = position


def _schedule(scheduler: Any, environment: str) -> dict[str, Any]:
    name = f"signup-sync-{environment}-reconcile"
    try:
        return dict(scheduler.get_schedule(Name=name)["Target"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            raise TaskFailed(f"there is no schedule {name}: run deploy/deploy {environment} first") from None
        raise


def _start(ecs: Any, cluster: str, parameters: dict[str, Any], container: dict[str, Any], options: list[str]) -> str:
    network = parameters["NetworkConfiguration"]["awsvpcConfiguration"]
    answer = ecs.run_task(
        cluster=cluster,
        taskDefinition=parameters["TaskDefinitionArn"],
        launchType=parameters["LaunchType"],
        overrides={"containerOverrides": [{"name": container["name"], "command": [*container["command"], *options]}]},
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": network["Subnets"],
                "securityGroups": network["SecurityGroups"],
                "assignPublicIp": network["AssignPublicIp"],
            }
        },
    )
    if failures := answer.get("failures"):
        raise TaskFailed(f"reconcile: not started: {failures[0].get('reason')}")
    return str(answer["tasks"][0]["taskArn"])


def _state(ecs: Any, cluster: str, task: str) -> dict[str, Any]:
    tasks = ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"]
    return dict(tasks[0]) if tasks else {}


def _exit_status(state: dict[str, Any], log: _Log) -> int:
    container = state["containers"][0]
    if container.get("exitCode") is None:
        reason = container.get("reason") or state.get("stoppedReason") or "no reason given"
        raise TaskFailed(f"reconcile: {reason}; its log, if any, is in {log.group}, stream {log.stream}")
    return int(container["exitCode"])
