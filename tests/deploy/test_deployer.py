"""What whoever deploys may do, beside what CloudFormation's own schemas say that the stacks' resources need."""

import json
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.templates import Loader, names, read
from tests.deploy.tools import ROOT, TOOLS, command

TEMPLATE: dict[str, Any] = yaml.load((ROOT / "deploy/access/deployer.yaml").read_text(), Loader)  # noqa: S506
STATEMENTS: list[dict[str, Any]] = [
    statement
    for policy in ("StacksPolicy", "RegionPolicy")
    for statement in TEMPLATE["Resources"][policy]["Properties"]["PolicyDocument"]["Statement"]
]

# What the scripts call themselves, besides CloudFormation.
SCRIPTS = {
    "cloudformation:DescribeStacks",
    "cognito-idp:DescribeUserPool",
    "cognito-idp:UpdateUserPool",
    "ec2:DescribeManagedPrefixLists",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:DescribeImages",
    "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeTasks",
    "ecs:RunTask",
    "iam:CreateServiceLinkedRole",
    "iam:ListRoles",
    "iam:PassRole",
    "logs:CreateLogGroup",
    "logs:GetLogEvents",
    "logs:PutRetentionPolicy",
    "rds:ModifyDBInstance",
    "s3:DeleteObjectVersion",
    "s3:ListBucketVersions",
    "s3:PutObject",
    "scheduler:GetSchedule",
}

# Of services and features that the templates do not use, though the types' schemas name them.
NOT_USED = (
    "autoscaling:*",
    "docdb-elastic:*",
    "ecs:PutAccountSetting*",
    "elasticfilesystem:*",
    "firehose:*",
    "iam:*GroupPolicy",
    "iam:*PermissionsBoundary",
    "iam:*UserPolicy",
    "kms:ReEncrypt*",
    "kms:RetireGrant",
    "redshift*",
    "s3files:*",
    "s3tables:*",
    "vpc-lattice:*",
)


def patterns() -> list[str]:
    return [
        action
        for statement in STATEMENTS
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    ]


def refused(actions: set[str]) -> list[str]:
    return sorted(a for a in actions if not any(fnmatchcase(a, pattern) for pattern in (*patterns(), *NOT_USED)))


@pytest.mark.tools("infrastructure")
@pytest.mark.process
def test_the_linters_find_nothing_that_is_not_justified_beside_the_resource() -> None:
    folder = ROOT / "deploy/access"
    checkov: list[str | Path] = [
        "--directory",
        folder,
        "--framework",
        "cloudformation",
        "--compact",
        "--quiet",
        "--skip-download",
    ]
    linters: list[list[str | Path]] = [
        [command("infrastructure", "cfn-lint"), "--regions", "us-east-1", "--", *folder.glob("*.yaml")],
        [command("infrastructure", "checkov"), *checkov],
    ]
    for arguments in linters:
        result = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
        assert result.returncode == 0, result.stdout


@pytest.mark.tools("infrastructure")
def test_it_may_do_what_the_stacks_resources_need_to_be_made_changed_and_deleted() -> None:
    types = {resource["Type"] for name in names() for resource in read(name)["Resources"].values()}
    (folder,) = (TOOLS / "infrastructure/lib").glob("python*/site-packages/cfnlint/data/schemas")
    by_type = json.loads((folder / "providers/us-east-1.json").read_text())
    needed = {
        permission
        for type_ in types
        for handler in json.loads((folder / f"resources/{by_type[type_]}.json").read_text())["handlers"].values()
        for permission in handler.get("permissions", [])
    }

    assert len(needed) > 300
    assert refused(needed) == []


def test_it_may_do_what_the_scripts_call() -> None:
    assert refused(SCRIPTS) == []


def test_what_it_may_do_to_roles_is_limited_to_the_environments() -> None:
    for statement in STATEMENTS:
        if any(action.startswith("iam:") for action in statement["Action"]) and "iam:PassRole" in statement["Action"]:
            assert all(r["Fn::Sub"].endswith("/signup-sync-${Environment}-*") for r in statement["Resource"])


def test_what_is_not_limited_by_name_is_limited_to_the_region() -> None:
    unlimited = [s for s in STATEMENTS if s["Resource"] == "*" and "Condition" not in s]

    assert [s["Action"] for s in unlimited] == [
        ["cloudformation:GetTemplateSummary", "cloudformation:ValidateTemplate"],
        "iam:ListRoles",
    ]


@pytest.mark.parametrize("policy", ["StacksPolicy", "RegionPolicy"])
def test_each_policy_is_as_short_as_iam_takes_it(policy: str) -> None:
    """IAM User Guide, "IAM and AWS STS quotas": 6,144 characters of a managed policy, white space not counted."""
    document = json.dumps(TEMPLATE["Resources"][policy]["Properties"]["PolicyDocument"], separators=(",", ":"))
    longest = document.replace("${Environment}", "production").replace("${AWS::AccountId}", "123456789012")

    assert len(longest.replace("${AWS::Region}", "ap-southeast-1")) < 6_144


def test_ci_is_one_repositorys_workflows_in_one_environment() -> None:
    (trust,) = TEMPLATE["Resources"]["CiRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]

    assert trust["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": {
                "Fn::Sub": "repo:${GitHubRepository}:environment:${GitHubEnvironment}"
            },
        }
    }
