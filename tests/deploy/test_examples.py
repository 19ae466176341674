"""The examples for Terraform and CDK, beside the templates that they use as they are."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.__main__ import COMPUTE, DATA
from tests.deploy.templates import names, read
from tests.deploy.tools import ROOT, command

EXAMPLES = ROOT / "deploy/examples"

_PARSE = "import hcl2, json, sys; print(json.dumps(hcl2.load(open(sys.argv[1]))))"
_OUTPUT = re.compile(r'aws_cloudformation_stack\.(\w+)\.outputs\["(\w+)"\]')


@pytest.fixture(scope="module")
def terraform() -> dict[str, dict[str, Any]]:
    """The stacks of the Terraform example by their template's name, parsed by the parser that checkov has."""
    python = command("infrastructure", "python")
    parsed = subprocess.run(
        [python, "-c", _PARSE, EXAMPLES / "terraform/main.tf"], capture_output=True, text=True, check=True, timeout=60
    )
    stacks = [r["aws_cloudformation_stack"] for r in json.loads(parsed.stdout)["resource"] if _is_stack(r)]
    return {key.replace("_", "-"): stack for each in stacks for key, stack in each.items()}


def _is_stack(resource: dict[str, Any]) -> bool:
    return "aws_cloudformation_stack" in resource


@pytest.mark.tools("infrastructure")
@pytest.mark.process
def test_terraform_makes_every_stack_of_its_own_template(terraform: dict[str, dict[str, Any]]) -> None:
    assert sorted(terraform) == names()
    for name, stack in terraform.items():
        assert f"/{name}.yaml" in json.dumps(stack["template_body"])
        assert f"-{name}" in json.dumps(stack["name"])


@pytest.mark.tools("infrastructure")
@pytest.mark.process
def test_terraform_gives_each_template_the_parameters_that_it_has_and_all_that_have_no_default(
    terraform: dict[str, dict[str, Any]],
) -> None:
    for name, stack in terraform.items():
        declared = read(name)["Parameters"]
        (given,) = stack["parameters"] if isinstance(stack["parameters"], list) else [stack["parameters"]]

        assert given.keys() <= declared.keys(), name
        assert {key for key, parameter in declared.items() if "Default" not in parameter} <= given.keys(), name


@pytest.mark.tools("infrastructure")
@pytest.mark.process
def test_terraform_asks_for_outputs_that_there_are(terraform: dict[str, dict[str, Any]]) -> None:
    asked = set(_OUTPUT.findall((EXAMPLES / "terraform/main.tf").read_text()))

    assert len(asked) > 20
    for stack, output in asked:
        assert output in read(stack.replace("_", "-"))["Outputs"], (stack, output)
    assert {stack.replace("_", "-") for stack, _ in asked} <= terraform.keys()


@pytest.mark.node
@pytest.mark.tools("cdk")
@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_cdk_synthesizes_every_resource_of_the_templates_with_all_parameters_wired(tmp_path: Path) -> None:
    context = json.loads((EXAMPLES / "cdk/cdk.json").read_text())["context"]
    result = subprocess.run(
        [command("cdk", "python"), "app.py"],
        cwd=EXAMPLES / "cdk",
        env={"PATH": os.environ["PATH"], "CDK_OUTDIR": str(tmp_path), "CDK_CONTEXT_JSON": json.dumps(context)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert result.returncode == 0, result.stderr
    for name in (*DATA, *COMPUTE):
        if name == "artifacts":  # CDK has its own
            continue
        template, made = read(name), json.loads((tmp_path / f"signup-sync-prod-{name}.template.json").read_text())
        assert template["Resources"].keys() <= made["Resources"].keys(), name
        left = {key: parameter for key, parameter in made["Parameters"].items() if key != "BootstrapVersion"}
        assert [key for key, parameter in left.items() if "Default" not in parameter] == [], name
        assert "Fn::ImportValue" in json.dumps(made) or name in ("network", "queues"), name
    (package,) = tmp_path.glob("asset.*")
    assert sorted(path.name for path in (package / "trigger_lambda").iterdir()) == ["__init__.py", "handler.py"]


# Writes down what it was asked; the first task ends as it is told to.
_AWS = """#!/bin/sh
echo "$@" >>"$CALLS"
case $2 in
    run-task) echo arn:task ;;
    describe-tasks) echo "$STATUS" ;;
esac
"""


def migrate(folder: Path, *arguments: str, status: str = "0") -> tuple[int, list[str]]:
    """The exit status of the script, and what it asked of a stand-in for the AWS CLI."""
    (folder / "aws").write_text(_AWS)
    (folder / "aws").chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(folder / "calls"), "STATUS": status}
    result = subprocess.run([EXAMPLES / "migrate", *arguments], env=environment, capture_output=True, check=False)
    calls = folder / "calls"
    return result.returncode, calls.read_text().splitlines() if calls.exists() else []


@pytest.mark.process
@pytest.mark.parametrize(("login", "options"), [([], ""), (["secret"], ""), (["iam"], ', "--iam"')])
def test_the_database_is_migrated_and_then_the_role_is_made(tmp_path: Path, login: list[str], options: str) -> None:
    status, calls = migrate(tmp_path, "cluster", "owner:3", "subnet-1,subnet-2", "sg-1", *login)

    first, second = (call for call in calls if call.startswith("ecs run-task"))
    assert status == 0
    assert '"command": ["db", "migrate"]' in first
    assert f'"command": ["db", "grant-worker"{options}]' in second
    assert "--cluster cluster --task-definition owner:3" in first
    assert "subnets=[subnet-1,subnet-2],securityGroups=[sg-1]" in first


@pytest.mark.process
@pytest.mark.parametrize(("changes", "made"), [([], False), (["false"], False), (["true"], True)])
def test_the_reconciliations_role_is_made_if_it_follows_changes(tmp_path: Path, changes: list[str], made: bool) -> None:
    status, calls = migrate(tmp_path, "cluster", "owner:3", "subnet-1", "sg-1", "secret", "DISABLED", *changes)

    commands = [call for call in calls if call.startswith("ecs run-task")]
    assert status == 0
    assert len(commands) == (3 if made else 2)
    assert ('"command": ["db", "grant-reconciler", "--iam"]' in commands[-1]) == made


@pytest.mark.process
@pytest.mark.parametrize("status", ["1", "None"])
def test_a_migration_that_failed_ends_it(tmp_path: Path, status: str) -> None:
    ended, calls = migrate(tmp_path, "cluster", "owner:3", "subnet-1", "sg-1", status=status)

    assert ended == 1
    assert len([call for call in calls if call.startswith("ecs run-task")]) == 1


@pytest.mark.process
def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    assert migrate(tmp_path, "cluster") == (2, [])
