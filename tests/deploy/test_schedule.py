"""The reconciliation by the clock: that it may start, and that somebody hears of it when it does not."""

import json
from typing import Any

from moto.events.models import EventPattern

from tests.deploy.templates import read

SERVICE = read("service")["Resources"]
ALARMS = read("alarms")["Resources"]


def test_the_role_may_do_what_the_schedules_call_of_ecs_asks_for() -> None:
    policy = SERVICE["ScheduleRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    by_action = {statement["Action"]: statement for statement in policy}

    assert by_action.keys() == {"ecs:RunTask", "ecs:TagResource", "sqs:SendMessage", "iam:PassRole"}
    # It may tag what it starts, and nothing that is there.
    assert "PropagateTags" in SERVICE["Reconcile"]["Properties"]["Target"]["EcsParameters"]
    assert by_action["ecs:TagResource"]["Condition"] == {"StringEquals": {"ecs:CreateAction": "RunTask"}}


def test_what_the_schedule_cannot_start_is_in_a_queue_with_an_alarm() -> None:
    dead_letters = SERVICE["Reconcile"]["Properties"]["Target"]["DeadLetterConfig"]["Arn"]
    output = read("service")["Outputs"]["NotStartedQueueName"]["Value"]
    alarm = ALARMS["ReconcileNotStarted"]["Properties"]

    assert dead_letters == {"Fn::GetAtt": ["ScheduleDeadLetterQueue", "Arn"]}
    assert output == {"Fn::GetAtt": ["ScheduleDeadLetterQueue", "QueueName"]}
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Ref": "NotStartedQueueName"}}]


def test_a_task_that_never_started_is_told_once_and_one_that_ended_well_is_not() -> None:
    not_started = {"lastStatus": "STOPPED", "stopCode": "TaskFailedToStart", "containers": [{"name": "reconcile"}]}
    ended = {"lastStatus": "STOPPED", "stopCode": "EssentialContainerExited", "containers": [{"exitCode": 0}]}

    assert matches("TaskNotStarted", not_started)
    assert not matches("TaskFailed", not_started)
    assert not matches("TaskNotStarted", ended)


def matches(rule: str, detail: dict[str, Any]) -> bool:
    """Whether a rule of the alarms' stack takes such an event of this cluster."""
    pattern = json.loads(
        json.dumps(ALARMS[rule]["Properties"]["EventPattern"]).replace('{"Ref": "ClusterArn"}', '"arn:cluster"')
    )
    event = {"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": {"clusterArn": "arn:cluster"}}
    event["detail"] |= detail  # type: ignore[operator]
    return EventPattern(None, pattern).matches_event(event)  # type: ignore[arg-type]
