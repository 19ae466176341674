"""The real templates, deployed by the real script to a local AWS, which is then asked what it has."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.deploy.ministack import (
    LEFT_OUT,
    client,
    container_settings,
    ecs_plays,
    environment_of,
    run_deploy,
    start_ministack,
)
from tests.deploy.templates import names, read
from tests.deploy.tools import ROOT

pytestmark = pytest.mark.tools("ministack")


@dataclass
class Deployed:
    """The environment after the first deployment."""

    address: str
    folder: Path
    database_url: str
    outputs: dict[str, str]
    owner_commands: list[list[str]]
    said: str
    _clients: dict[str, Any] = field(default_factory=dict)

    def ask(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = client(service, self.address)
        return self._clients[service]

    def close(self) -> None:
        for each in self._clients.values():
            each.close()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, postgres: Any) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("ministack")
    url = postgres.create_database("deployed")
    with ExitStack() as stack:
        stack.callback(postgres.drop_database, "deployed")
        address = stack.enter_context(start_ministack(folder))
        commands = stack.enter_context(ecs_plays(address, url))
        result = run_deploy(folder, address, "deploy", "--json", "--image", "example/signup-sync:1")
        assert result.returncode == 0, result.stderr
        deployed = Deployed(address, folder, url, json.loads(result.stdout), commands, result.stderr)
        stack.callback(deployed.close)
        yield deployed


def test_all_is_created_but_what_the_local_server_does_not_know(deployed: Deployed) -> None:
    cloudformation = deployed.ask("cloudformation")
    missing: dict[str, set[str]] = {}
    for name in names():
        answer = cloudformation.list_stack_resources(StackName=f"signup-sync-prod-{name}")
        created = {r["LogicalResourceId"] for r in answer["StackResourceSummaries"]}
        expected = {key for key, resource in read(name)["Resources"].items() if "Condition" not in resource}
        if lacking := expected - created:
            missing[name] = lacking

    unconditional = {
        name: {key for key in ids if "Condition" not in read(name)["Resources"][key]} for name, ids in LEFT_OUT.items()
    }
    assert missing == {name: ids for name, ids in unconditional.items() if ids}


def test_the_logs_that_rds_writes_end_when_the_others_do(deployed: Deployed) -> None:
    answer = deployed.ask("logs").describe_log_groups(logGroupNamePrefix="/aws/rds/instance/")
    name = f"/aws/rds/instance/{deployed.outputs['DatabaseId']}"

    assert {group["logGroupName"]: group["retentionInDays"] for group in answer["logGroups"]} == {
        f"{name}/postgresql": 90,
        f"{name}/upgrade": 90,
    }


def test_the_pools_trigger_is_the_function_which_the_pool_alone_may_invoke(deployed: Deployed) -> None:
    pool = deployed.ask("cognito-idp").describe_user_pool(UserPoolId=deployed.outputs["UserPoolId"])["UserPool"]
    function = deployed.ask("lambda").get_function(FunctionName=deployed.outputs["TriggerName"])["Configuration"]
    policy = json.loads(deployed.ask("lambda").get_policy(FunctionName=function["FunctionName"])["Policy"])

    assert pool["LambdaConfig"]["PostConfirmation"] == function["FunctionArn"]
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"Service": "cognito-idp.amazonaws.com"}
    assert pool["Arn"] in json.dumps(statement["Condition"])
    assert function["Environment"]["Variables"]["QUEUE_URL"] == deployed.outputs["QueueUrl"]


def test_the_function_may_send_to_one_queue_and_write_its_log_and_nothing_else(deployed: Deployed) -> None:
    iam = deployed.ask("iam")
    function = deployed.ask("lambda").get_function(FunctionName=deployed.outputs["TriggerName"])["Configuration"]
    role = function["Role"].rpartition("/")[2]

    statements = [
        statement
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
        for statement in iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]
    ]

    assert not iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert [s["Resource"] for s in statements if s["Action"] == "sqs:SendMessage"] == [deployed.outputs["QueueArn"]]
    others = [action for s in statements if s["Action"] != "sqs:SendMessage" for action in s["Action"]]
    assert all(action.startswith("logs:") for action in others)


def test_the_queues_point_at_each_other_and_dead_letters_are_kept_longer(deployed: Deployed) -> None:
    sqs = deployed.ask("sqs")
    events, activities, dead_letters = (
        sqs.get_queue_attributes(QueueUrl=deployed.outputs[url], AttributeNames=["All"])["Attributes"]
        for url in ("QueueUrl", "ActivitiesQueueUrl", "DlqUrl")
    )

    sources = json.loads(dead_letters["RedriveAllowPolicy"])["sourceQueueArns"]
    assert sources == [events["QueueArn"], activities["QueueArn"]]
    for queue in (events, activities):
        assert json.loads(queue["RedrivePolicy"])["deadLetterTargetArn"] == dead_letters["QueueArn"]
        assert queue["MessageRetentionPeriod"] == "864000"
    assert dead_letters["MessageRetentionPeriod"] == "1209600"
    for queue in (events, activities, dead_letters):
        assert queue["ReceiveMessageWaitTimeSeconds"] == "20"
        statement, *_ = json.loads(queue["Policy"])["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": False}} or statement["Condition"] == {
            "Bool": {"aws:SecureTransport": "false"}
        }


def test_the_schedule_runs_the_reconciliation_of_this_pool(deployed: Deployed) -> None:
    schedule = deployed.ask("scheduler").get_schedule(Name="signup-sync-prod-reconcile")
    arn = schedule["Target"]["EcsParameters"]["TaskDefinitionArn"]
    task = deployed.ask("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]

    command = task["containerDefinitions"][0]["command"]
    assert command == ["reconcile", "--user-pool-id", deployed.outputs["UserPoolId"], "--json"]


def test_the_same_task_runs_by_hand_with_its_log_and_finds_who_is_missing(deployed: Deployed) -> None:
    pool = deployed.outputs["UserPoolId"]
    users = deployed.ask("cognito-idp")
    users.admin_create_user(UserPoolId=pool, Username="ada@example.com")
    users.admin_set_user_password(
        UserPoolId=pool, Username="ada@example.com", Password="Correct-horse-1", Permanent=True
    )

    result = subprocess.run(
        [ROOT / "deploy/reconcile", "prod", "--dry-run"],
        env={**environment_of(deployed.address), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (result.returncode, result.stderr) == (0, "")
    missing, summary = (json.loads(line) for line in result.stdout.splitlines())
    assert missing["outcome"] == "would_enqueue"
    assert summary["summary"]["missing"] == 1
    users.admin_delete_user(UserPoolId=pool, Username="ada@example.com")


def test_there_is_an_alarm_for_each_thing_that_wakes_somebody(deployed: Deployed) -> None:
    alarms = deployed.ask("cloudwatch").describe_alarms(AlarmNamePrefix="signup-sync-prod-")["MetricAlarms"]

    assert {alarm["AlarmName"].removeprefix("signup-sync-prod-") for alarm in alarms} == {
        "database-connections",
        "database-storage",
        "dead-letters",
        "dead-letters-expire",
        "enqueue-failures",
        "no-worker",
        "oldest-activity",
        "oldest-message",
        "reconcile-not-started",
        "trigger-errors",
        "trigger-throttles",
        "undelivered-deletions",
    }
    assert all(alarm["AlarmActions"] == [deployed.outputs["TopicArn"]] for alarm in alarms)


def test_the_workers_secret_has_a_login_and_the_worker_is_told_of_it_and_not_of_the_password(
    deployed: Deployed,
) -> None:
    arn = deployed.outputs["WorkerSecretArn"]
    secret = json.loads(deployed.ask("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])
    settings = container_settings(deployed.ask("ecs"), deployed.outputs["WorkerTaskArn"])

    assert secret["username"] == "signup_sync_worker"
    assert len(secret["password"]) == 40
    assert settings["DATABASE_SECRET_ARN"] == arn
    assert "sslmode=verify-full" in settings["DATABASE_URL"]
    assert secret["password"] not in json.dumps(settings)


def test_the_database_is_migrated_and_the_role_made_before_the_service_is(deployed: Deployed) -> None:
    assert deployed.owner_commands[:2] == [["db", "migrate"], ["db", "grant-worker"]]
    assert deployed.said.index("signup-sync db grant-worker") < deployed.said.index("\nservice:")
    with psycopg.connect(deployed.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
        owner = connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'users'").fetchone()
        assert owner == ("signup_sync_schema_owner",)  # and not who has logged in


def test_a_second_deployment_changes_nothing(deployed: Deployed) -> None:
    result = run_deploy(deployed.folder, deployed.address, "deploy", "--json", "--image", "example/signup-sync:1")

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == deployed.outputs
    assert result.stderr.count("no changes") == len(names())


def test_the_lambda_comes_after_the_worker_which_then_knows_what_it_sends(deployed: Deployed) -> None:
    first = deployed.said
    second = run_deploy(
        deployed.folder, deployed.address, "deploy", "--dry-run", "--image", "example/signup-sync:1"
    ).stderr

    # At first there is no pool, which the reconciliation's task names.
    assert first.index("\nsign-up:") < first.index("\ntasks:") < first.index("\nservice:")
    assert second.index("\ntasks:") < second.index("\nservice:") < second.index("\nsign-up:")


def test_a_dry_run_changes_nothing_and_shows_what_it_would(deployed: Deployed) -> None:
    result = run_deploy(deployed.folder, deployed.address, "deploy", "--dry-run", "--image", "example/signup-sync:2")

    assert result.returncode == 0, result.stderr
    assert "WorkerTask" in result.stderr
    task = deployed.ask("ecs").describe_task_definition(taskDefinition=deployed.outputs["WorkerTaskArn"])
    assert task["taskDefinition"]["containerDefinitions"][0]["image"] == "example/signup-sync:1"


def test_a_change_that_is_not_confirmed_is_not_made(deployed: Deployed) -> None:
    arguments = ("deploy", "--image", "example/signup-sync:2")
    result = run_deploy(deployed.folder, deployed.address, *arguments, answer="n\n")

    assert result.returncode == 2
    assert "stopped before tasks" in result.stderr
    arn = client_outputs(deployed, "tasks")["WorkerTaskArn"]
    assert arn == deployed.outputs["WorkerTaskArn"]


def test_nothing_is_removed_unless_the_environments_name_is_typed(deployed: Deployed) -> None:
    result = run_deploy(deployed.folder, deployed.address, "destroy", "--with-data", answer="dev\n")

    assert result.returncode == 2
    assert all(exists(deployed, name) for name in names())


def test_a_misspelt_parameter_is_named_before_anything_is_done(deployed: Deployed, tmp_path: Path) -> None:
    (tmp_path / "prod.toml").write_text('region = "us-east-1"\n[parameters]\nInstanceClas = "db.t4g.micro"\n')

    result = run_deploy(deployed.folder, deployed.address, "deploy", "--environments", str(tmp_path))

    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "Error: prod.toml: no template has a parameter InstanceClas"


def test_a_deployment_of_code_that_is_in_no_commit_is_refused_before_anything_is_done(deployed: Deployed) -> None:
    marker = ROOT / "worker" / f"uncommitted-{uuid.uuid4().hex}"
    marker.touch()
    try:
        result = run_deploy(deployed.folder, deployed.address, "deploy")
    finally:
        marker.unlink()

    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith("commit it, or give --image")


def test_the_data_is_kept_unless_it_is_said_otherwise(deployed: Deployed) -> None:
    kept = run_deploy(deployed.folder, deployed.address, "destroy")
    statuses = {name: exists(deployed, name) for name in names()}
    gone = run_deploy(deployed.folder, deployed.address, "destroy", "--with-data")

    assert kept.returncode == 0, kept.stderr
    assert {name for name, there in statuses.items() if there} == {
        "artifacts",
        "database",
        "network",
        "queues",
        "sign-up",
    }
    assert gone.returncode == 0, gone.stderr
    assert not any(exists(deployed, name) for name in names())


def client_outputs(deployed: Deployed, name: str) -> dict[str, str]:
    stack = deployed.ask("cloudformation").describe_stacks(StackName=f"signup-sync-prod-{name}")["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def exists(deployed: Deployed, name: str) -> bool:
    cloudformation = deployed.ask("cloudformation")
    try:
        status = cloudformation.describe_stacks(StackName=f"signup-sync-prod-{name}")["Stacks"][0]["StackStatus"]
    except cloudformation.exceptions.ClientError:
        return False
    return bool(status != "DELETE_COMPLETE")
