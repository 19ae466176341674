"""What can be said of the templates, the image and the compose file without running them."""

import json
import re
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from mypy_boto3_sqs.client import SQSClient

from deploy import lambda_zip
from deploy.__main__ import COMPUTE, DATA
from deploy.costs import tables
from deploy.environment import Environment
from deploy.image import PLATFORMS
from tests.deploy.templates import STACKS, names, read
from tests.deploy.tools import ROOT, command
from tests.support.sqs import SqsServer, aws_environment
from worker.settings import ReconcileSettings, WorkerRoleSettings, WorkerSettings

STOP_LIMIT = 25  # seconds: the worker's promise

# One of each continent, and one of another partition: not every region has every type and property.
REGIONS = ("us-east-1", "eu-central-1", "ap-southeast-2", "sa-east-1", "af-south-1", "me-central-1", "us-gov-west-1")


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text()))


def containers() -> dict[str, dict[str, Any]]:
    """The container of each task definition."""
    resources = read("tasks")["Resources"]
    tasks = {key: value for key, value in resources.items() if value["Type"] == "AWS::ECS::TaskDefinition"}
    return {key: task["Properties"]["ContainerDefinitions"][0] for key, task in tasks.items()}


@pytest.mark.tools("infrastructure")
@pytest.mark.process
def test_cfn_lint_finds_nothing() -> None:
    result = run(command("infrastructure", "cfn-lint"), "--regions", *REGIONS, "--", *STACKS.glob("*.yaml"))

    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.tools("infrastructure")
@pytest.mark.process
def test_checkov_finds_nothing_that_is_not_justified_beside_the_resource() -> None:
    arguments = ("--directory", STACKS, "--framework", "cloudformation", "--compact", "--quiet", "--skip-download")
    result = run(command("infrastructure", "checkov"), *arguments)

    assert "Failed checks: 0" in result.stdout, result.stdout
    assert result.returncode == 0


def test_every_skipped_check_has_its_reason() -> None:
    skipped = [
        skip
        for name in names()
        for resource in read(name)["Resources"].values()
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]

    assert skipped
    assert all(len(skip["comment"]) > 20 for skip in skipped)


def test_every_template_is_deployed_once_and_none_is_forgotten() -> None:
    assert sorted((*DATA, *COMPUTE)) == names()


def test_each_parameter_without_a_default_is_an_output_of_a_stack_before_or_known_to_the_script() -> None:
    known = {"Environment", "S3PrefixListId"}
    for name in (*DATA, *COMPUTE):
        template = read(name)
        required = {key for key, parameter in template["Parameters"].items() if "Default" not in parameter}
        assert required <= known, f"{name}: {required - known}"
        known |= template.get("Outputs", {}).keys()
        known |= {"LambdaKey", "Image"} if name == "artifacts" else set()


@pytest.mark.parametrize("name", [path.stem for path in (ROOT / "deploy/environments").glob("*.toml")])
def test_an_environments_parameters_are_the_templates(name: str) -> None:
    declared = {key for template in names() for key in read(template)["Parameters"]}

    assert Environment.read(name).parameters.keys() <= declared


def test_who_may_publish_activities_may_sign_nobody_up() -> None:
    statements = read("queues")["Resources"]["PublisherPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    own = {"Fn::GetAtt": ["ActivitiesQueue", "Arn"]}
    assert [(s["Action"], s["Resource"]) for s in statements] == [("sqs:SendMessage", own)]


@pytest.mark.parametrize("task", ["WorkerTask", "OwnerTask", "ReconcileTask"])
def test_a_tasks_settings_are_the_programs(task: str) -> None:
    programs = (WorkerSettings, WorkerRoleSettings, ReconcileSettings)
    known = {name.upper() for settings in programs for name in settings.model_fields} | {"AWS_REGION"}

    assert settings_of(containers()[task]) <= known


def test_the_worker_is_told_all_that_it_cannot_run_without() -> None:
    required = {name.upper() for name, field in WorkerSettings.model_fields.items() if field.is_required()}

    assert required <= settings_of(containers()["WorkerTask"])
    assert required <= compose()["services"]["worker"]["environment"].keys()


def test_the_worker_is_given_the_time_that_it_needs_to_stop() -> None:
    grace = compose()["services"]["worker"]["stop_grace_period"]

    assert containers()["WorkerTask"]["StopTimeout"] > STOP_LIMIT
    assert int(grace.removesuffix("s")) > STOP_LIMIT


def test_every_container_runs_as_the_images_user_on_a_read_only_root_without_capabilities() -> None:
    user = re.search(r"^USER (\S+)$", dockerfile(), re.MULTILINE)
    assert user is not None
    for container in containers().values():
        assert container["User"] == user[1]
        assert container["ReadonlyRootFilesystem"] is True
        assert container["LinuxParameters"] == {"Capabilities": {"Drop": ["ALL"]}}
    for name in ("worker", "migrate", "queues"):
        service = compose()["services"][name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])


def test_the_health_check_of_ecs_is_that_of_the_image() -> None:
    check = re.search(r"^HEALTHCHECK .*?CMD (\[.*?\])$", dockerfile(), re.MULTILINE | re.DOTALL)
    assert check is not None

    assert containers()["WorkerTask"]["HealthCheck"]["Command"] == ["CMD", *yaml.safe_load(check[1])]


def test_groups_alone_are_let_in() -> None:
    resources = read("network")["Resources"].values()
    rules = [
        r["Properties"] for r in resources if r["Type"].startswith("AWS::EC2::SecurityGroup") and "Ingress" in r["Type"]
    ]

    assert rules
    assert all("SourceSecurityGroupId" in rule for rule in rules)
    assert not any("CidrIp" in rule for rule in rules)


def test_addresses_are_let_out_to_only_where_services_or_a_database_have_no_group() -> None:
    resources = read("network")["Resources"].values()
    groups = [r["Properties"] for r in resources if r["Type"] == "AWS::EC2::SecurityGroup"]
    addresses = [rule["CidrIp"] for group in groups for rule in group["SecurityGroupEgress"] if "CidrIp" in rule]

    nothing = {"Ref": "AWS::NoValue"}
    known: list[Any] = [
        "127.0.0.1/32",  # the documented way to write "nowhere"
        "0.0.0.0/0",  # of the reconciliation that has subnets of its own
        {"Fn::If": ["ByEndpoints", nothing, "0.0.0.0/0"]},
        {"Fn::If": ["HasDatabaseCidr", {"Ref": "ExistingDatabaseCidr"}, nothing]},
    ]
    assert all(address in known for address in addresses)
    assert addresses.count("0.0.0.0/0") == 1


def test_no_task_has_an_address_of_its_own_unless_egress_is_public() -> None:
    resources = read("service")["Resources"]
    network = resources["Service"]["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"]
    outputs = read("network")["Outputs"]

    assert network["AssignPublicIp"] == {"Ref": "AssignPublicIp"}
    assert outputs["AssignPublicIp"]["Value"] == {"Fn::If": ["ByPublicAddress", "ENABLED", "DISABLED"]}


def test_the_reconciliation_runs_where_the_network_says() -> None:
    target = read("service")["Resources"]["Reconcile"]["Properties"]["Target"]["EcsParameters"]

    assert target["NetworkConfiguration"]["AwsvpcConfiguration"] == {
        "AssignPublicIp": {"Ref": "ReconcileAssignPublicIp"},
        "Subnets": {"Ref": "ReconcileSubnetIds"},
        "SecurityGroups": [{"Ref": "ReconcileSecurityGroupId"}],
    }


def test_every_task_is_told_the_schema() -> None:
    for container in containers().values():
        (schema,) = [v for v in container["Environment"] if v.get("Name") == "DATABASE_SCHEMA"]
        assert schema["Value"] == {"Ref": "DatabaseSchema"}


@pytest.mark.parametrize("database", [True, False])
def test_the_dashboard_can_be_read_with_and_without_a_database_of_rds(database: bool) -> None:
    body, values = read("alarms")["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    for name, value in values.items():
        chosen = value["Fn::If"][1 if database else 2]
        body = body.replace(f"${{{name}}}", chosen["Fn::Sub"] if database else chosen)

    widgets = json.loads(body)["widgets"]
    assert any("AWS/RDS" in json.dumps(widget) for widget in widgets) is database
    assert ("${FreeStorage.Arn}" in json.dumps(widgets)) is database


def test_the_same_code_makes_the_same_zip_which_holds_the_handler_alone(tmp_path: Path) -> None:
    first, second = lambda_zip.build(), lambda_zip.build()
    entries = zipfile.ZipFile(BytesIO(first.content)).namelist()
    handler = read("sign-up")["Resources"]["Trigger"]["Properties"]["Handler"]

    assert first == second
    assert entries == ["trigger_lambda/__init__.py", "trigger_lambda/handler.py"]
    assert handler.rpartition(".")[0].replace(".", "/") + ".py" in entries
    assert len(first.content) < 16_384
    package = tmp_path / "trigger_lambda"
    package.mkdir()
    (package / "handler.py").write_text("other code")
    assert lambda_zip.build(package).key != first.key


def test_the_image_can_be_built_for_each_architecture_that_tasks_run_on() -> None:
    assert PLATFORMS.keys() == set(read("tasks")["Parameters"]["CpuArchitecture"]["AllowedValues"])


def test_the_image_takes_what_it_copies_and_no_tests() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied = {
        source.rstrip("/")
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile(), re.MULTILINE)
        for source in line.split()[:-1]
    }

    assert "*" in ignore
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)


def test_each_service_of_the_compose_file_has_a_health_check_and_a_restart_policy() -> None:
    for name, service in compose()["services"].items():
        assert "restart" in service, name
        # The worker's is the image's.
        assert "healthcheck" in service or name == "worker", name


def test_the_compose_file_uses_the_ports_that_its_services_listen_on() -> None:
    services = compose()["services"]
    worker = services["worker"]["environment"]

    assert "@postgres:5432/" in worker["DATABASE_URL"]
    assert services["postgres"]["ports"] == ["127.0.0.1:5432:5432"]
    assert services["sqs"]["ports"] == ["127.0.0.1:5000:5000"]
    assert {worker[name].partition("/123")[0] for name in ("QUEUE_URL", "DLQ_URL")} == {worker["AWS_ENDPOINT_URL"]}


def test_the_local_queues_have_the_properties_of_the_deployed_ones(sqs_server: SqsServer) -> None:
    environment = {
        **aws_environment(sqs_server.endpoint_url),
        "QUEUE_URL": f"{sqs_server.endpoint_url}/123456789012/local-events",
        "DLQ_URL": f"{sqs_server.endpoint_url}/123456789012/local-dead-letters",
    }
    for _ in range(2):  # it may run again
        result = run(sys.executable, ROOT / "deploy/local_queues.py", env=environment)
        assert result.returncode == 0, result.stderr

    client: SQSClient = boto3.client(
        "sqs",
        endpoint_url=sqs_server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    resources = read("queues")["Resources"]
    for url, resource in (("QUEUE_URL", "EventsQueue"), ("DLQ_URL", "DeadLetterQueue")):
        actual = client.get_queue_attributes(QueueUrl=environment[url], AttributeNames=["All"])["Attributes"]
        expected = resources[resource]["Properties"]
        for name in ("MessageRetentionPeriod", "MaximumMessageSize", "ReceiveMessageWaitTimeSeconds"):
            assert actual[name] == str(expected[name])
    client.close()


def settings_of(container: dict[str, Any]) -> set[str]:
    """The names of its variables, those of both branches of a condition."""
    variables: list[dict[str, Any]] = []
    for variable in container["Environment"]:
        variables += variable["Fn::If"][1:] if "Fn::If" in variable else [variable]
    return {variable["Name"] for variable in variables}


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)


def test_the_costs_in_the_documents_are_those_that_are_computed() -> None:
    text = (ROOT / "docs/deploy.md").read_text()

    for table in tables():
        assert table in text
