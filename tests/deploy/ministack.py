"""A local AWS, and environments deployed to it by the real `deploy/deploy`.

ministack does not run containers here. Where ECS would run the owner's or the reconciliation's task, `ecs_plays` runs
the same command with the task definition's own settings, on the test's Postgres, and logs where the definition says.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from tests.deploy import templates
from tests.deploy.tools import ROOT, command
from tests.e2e.server_process import ServerProcess
from tests.support.ports import free_port
from tests.support.sqs import REGION, aws_environment

ENVIRONMENT = "prod"
TASK_POLLING_INTERVAL = 0.3  # seconds

# What ministack 1.5.33 cannot create, by template: left out there, and so tested by cfn-lint and checkov alone.
LEFT_OUT = {
    "network": {
        "FlowLog": "unknown type",
        "NatAddress": "unknown type AWS::EC2::EIP",
        "NatGateway": "unknown type",
        "NatRoute": "refers to the NAT gateway",
        "DatabaseFromWorker": "unknown type AWS::EC2::SecurityGroupIngress",
        "DatabaseFromRotation": "unknown type AWS::EC2::SecurityGroupIngress",
        "DatabaseFromReconcile": "unknown type AWS::EC2::SecurityGroupIngress",
        "DatabaseFromApplication": "unknown type AWS::EC2::SecurityGroupIngress",
        "DatabaseFromApplication2": "unknown type AWS::EC2::SecurityGroupIngress",
        "DatabaseFromApplication3": "unknown type AWS::EC2::SecurityGroupIngress",
        "EndpointsFromWorker": "unknown type AWS::EC2::SecurityGroupIngress",
        "EndpointsFromRotation": "unknown type AWS::EC2::SecurityGroupIngress",
    },
    "service": {
        "ScalableTarget": "unknown type",
        "BacklogScaling": "refers to the scalable target",
    },
    "rotation": {
        "Rotation": "the transform AWS::SecretsManager-2024-09-16 is not known",
    },
}


@contextmanager
def start_ministack(folder: Path) -> Iterator[str]:
    """A ministack without anything in it; gives its address."""
    environment = {
        "PATH": os.environ["PATH"],
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(free_port()),
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }
    server = ServerProcess([command("ministack", "ministack")], cwd=folder, env=environment)
    with server:
        yield server.address


def client(service: str, address: str) -> Any:
    """A client of one service there; whoever asks for it closes it."""
    return boto3.client(  # type: ignore[call-overload] # most services' stubs are not installed
        service,
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def environment_of(address: str) -> dict[str, str]:
    return {**aws_environment(address), "AWS_ENDPOINT_URL": address, "PATH": os.environ["PATH"]}


def run_deploy(
    folder: Path, address: str, *arguments: str, answer: str | None = None, environment: str = ENVIRONMENT
) -> subprocess.CompletedProcess[str]:
    """Run `deploy/deploy` or `deploy/destroy` with the templates that ministack can create.

    `answer` is what is typed at the questions; without it none is asked.
    """
    adapted = adapted_templates(folder)
    program, *rest = arguments
    return subprocess.run(
        [ROOT / "deploy" / program, environment, "--templates", adapted, *([] if answer else ["--yes"]), *rest],
        input=answer,
        env={**environment_of(address), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def adapted_templates(folder: Path) -> Path:
    """A folder in this one with the templates that ministack can create."""
    adapted = folder / "stacks"
    if not adapted.exists():
        adapted.mkdir()
        templates.write_without(adapted, LEFT_OUT)
        _without_unknown_attributes(adapted)
    return adapted


@contextmanager
def ecs_plays(address: str, database_url: str) -> Iterator[list[list[str]]]:
    """While it lasts, tasks that are no worker's are carried out; gives their commands so far."""
    done: list[list[str]] = []
    stop = threading.Event()
    failures: list[BaseException] = []

    def play() -> None:
        ecs, logs = client("ecs", address), client("logs", address)
        try:
            while not stop.wait(TASK_POLLING_INTERVAL):
                for family in ("owner", "reconcile"):
                    _carry_out_tasks(ecs, logs, family, address, database_url, done)
        except BaseException as error:  # noqa: BLE001, raised again where the test sees it
            failures.append(error)
        finally:
            ecs.close()
            logs.close()

    player = threading.Thread(target=play)
    player.start()
    try:
        yield done
    finally:
        stop.set()
        player.join()
    if failures:
        raise failures[0]


def container_settings(ecs: Any, task_definition: str) -> dict[str, str]:
    """The environment that a task definition gives its container."""
    definition = ecs.describe_task_definition(taskDefinition=task_definition)["taskDefinition"]
    return {variable["name"]: variable["value"] for variable in definition["containerDefinitions"][0]["environment"]}


def _carry_out_tasks(ecs: Any, logs: Any, family: str, address: str, database_url: str, done: list[list[str]]) -> None:
    for cluster in ecs.list_clusters()["clusterArns"]:
        arns = ecs.list_tasks(cluster=cluster, family=f"{cluster.rpartition('/')[2]}-{family}")["taskArns"]
        for task in ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []:
            if task["lastStatus"] != "RUNNING":
                continue
            arguments = task["overrides"]["containerOverrides"][0]["command"]
            settings = container_settings(ecs, task["taskDefinitionArn"])
            # The embedded Postgres stands in for RDS: its superuser needs no password.
            settings = {**settings, "DATABASE_URL": database_url, "DATABASE_SECRET_ARN": ""}
            said = _signup_sync(arguments, {**environment_of(address), **settings})
            _log(ecs, logs, task, said)
            done.append(arguments)
            ecs.stop_task(cluster=cluster, task=task["taskArn"], reason="ended")


def _signup_sync(arguments: list[str], environment: Mapping[str, str]) -> str:
    """What it wrote to standard output."""
    program = Path(sys.executable).parent / "signup-sync"
    result = subprocess.run(
        [program, *arguments], env=dict(environment), check=True, capture_output=True, text=True, timeout=60
    )
    return result.stdout


def _log(ecs: Any, logs: Any, task: dict[str, Any], said: str) -> None:
    """As the log driver awslogs does."""
    definition = ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
    container = definition["containerDefinitions"][0]
    options = container["logConfiguration"]["options"]
    stream = f"{options['awslogs-stream-prefix']}/{container['name']}/{task['taskArn'].rpartition('/')[2]}"
    logs.create_log_stream(logGroupName=options["awslogs-group"], logStreamName=stream)
    events = [{"timestamp": int(time.time() * 1000), "message": line} for line in said.splitlines()]
    if events:
        logs.put_log_events(logGroupName=options["awslogs-group"], logStreamName=stream, logEvents=events)


def _without_unknown_attributes(folder: Path) -> None:
    """ministack's database has no secret of its own for the owner: any other ARN will do."""
    path = folder / "database.yaml"
    template = json.loads(path.read_text())
    template["Outputs"]["OwnerSecretArn"]["Value"]["Fn::If"][1] = {"Ref": "WorkerSecret"}
    path.write_text(json.dumps(template))
    # It keeps the schedule's member as CloudFormation writes it; EventBridge Scheduler's own begins in lower case.
    path = folder / "service.yaml"
    template = json.loads(path.read_text())
    network = template["Resources"]["Reconcile"]["Properties"]["Target"]["EcsParameters"]["NetworkConfiguration"]
    network["awsvpcConfiguration"] = network.pop("AwsvpcConfiguration")
    path.write_text(json.dumps(template))
    path = folder / "rotation.yaml"
    template = json.loads(path.read_text())
    del template["Transform"]
    template["Resources"]["Nothing"] = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    path.write_text(json.dumps(template))
