"""What rings, and that it rings in time."""

from typing import Any

from deploy import database_logs
from tests.deploy.templates import names, read
from tests.deploy.tools import ROOT

DAY = 86_400  # seconds
GIB = 2**30

ALARMS: dict[str, Any] = read("alarms")["Resources"]
QUEUES: dict[str, Any] = read("queues")["Resources"]


def test_dead_letters_ring_two_days_before_the_first_could_be_deleted() -> None:
    """Those that SQS moves keep the time of their queue, and the metric begins anew."""
    events, activities, dead_letters = (
        QUEUES[queue]["Properties"]["MessageRetentionPeriod"]
        for queue in ("EventsQueue", "ActivitiesQueue", "DeadLetterQueue")
    )

    assert ALARMS["DeadLettersExpire"]["Properties"]["Threshold"] + 2 * DAY <= dead_letters - max(events, activities)


def test_free_storage_rings_after_rds_should_have_added_some_and_before_it_is_gone() -> None:
    smallest = read("database")["Parameters"]["StorageGiB"]["Default"] * GIB
    threshold = read("alarms")["Parameters"]["MinFreeStorageBytes"]["Default"]

    assert smallest / 40 < threshold < smallest / 10


def test_every_alarm_is_on_the_dashboard() -> None:
    text, parts = ALARMS["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    body = text + parts["DatabaseAlarms"]["Fn::If"][1]["Fn::Sub"]
    alarms = {key for key, resource in ALARMS.items() if resource["Type"] == "AWS::CloudWatch::Alarm"}

    assert {key for key in alarms if f'"${{{key}.Arn}}"' not in body} == set()


def test_every_rule_tells_the_alarms_topic() -> None:
    rules = {key: resource for key, resource in ALARMS.items() if resource["Type"] == "AWS::Events::Rule"}

    assert rules.keys() == {"TaskFailed", "TaskNotStarted", "DeploymentFailed", "StorageEnds"}
    for rule in rules.values():
        assert [target["Arn"] for target in rule["Properties"]["Targets"]] == [{"Ref": "Topic"}]


def test_every_alarm_has_its_row_in_the_runbook() -> None:
    runbook = (ROOT / "docs/runbook.md").read_text()
    names = [
        resource["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("signup-sync-${Environment}-")
        for resource in ALARMS.values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]

    assert [name for name in names if f"`{name}`" not in runbook] == []


def test_whatever_writes_a_log_writes_it_into_a_group_that_ends() -> None:
    resources = [r for name in names() for r in read(name)["Resources"].values()]
    groups = [r["Properties"] for r in resources if r["Type"] == "AWS::Logs::LogGroup"]

    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups)
    # RDS makes its own groups.
    database = read("database")["Resources"]["Database"]
    assert database["Properties"]["EnableCloudwatchLogsExports"] == list(database_logs.LOGS)
