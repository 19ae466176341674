"""What people have already, and `dev`: each deployed to a local AWS by the real script, which is then asked for it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.environment import FOLDER
from tests.deploy.ministack import adapted_templates, client, container_settings, ecs_plays, run_deploy, start_ministack
from tests.deploy.templates import read
from tests.support.postgres import Postgres

pytestmark = [
    pytest.mark.process,
    pytest.mark.tools("ministack"),
]

IMAGE = "210987654321.dkr.ecr.us-east-1.amazonaws.com/shared/signup-sync:1"


@dataclass
class Account:
    """A local AWS in which somebody has a VPC, a database's group and secret, and a user pool."""

    address: str
    folder: Path
    commands: list[list[str]]
    vpc: str
    subnets: list[str]
    group: str
    secret: str
    pool: str

    def deploy(self, name: str, parameters: str = "", *arguments: str, answer: str | None = None) -> Any:
        if parameters:
            (self.folder / f"{name}.toml").write_text(f'region = "us-east-1"\n[parameters]\n{parameters}')
        options = ("--json", "--image", IMAGE, "--environments", str(self.folder), *arguments)
        return run_deploy(self.folder, self.address, "deploy", *options, environment=name, answer=answer)

    def deployed(self, name: str, parameters: str = "") -> dict[str, str]:
        result = self.deploy(name, parameters)
        assert result.returncode == 0, result.stderr
        return dict(json.loads(result.stdout))

    def resources(self, stack: str) -> set[str]:
        with closing(client("cloudformation", self.address)) as cloudformation:
            answer = cloudformation.list_stack_resources(StackName=f"signup-sync-{stack}")
        return {resource["LogicalResourceId"] for resource in answer["StackResourceSummaries"]}

    def stacks(self, environment: str) -> set[str]:
        prefix = f"signup-sync-{environment}-"
        with closing(client("cloudformation", self.address)) as cloudformation:
            names = [
                stack["StackName"]
                for page in cloudformation.get_paginator("list_stacks").paginate()
                for stack in page["StackSummaries"]
                if stack["StackStatus"] != "DELETE_COMPLETE"
            ]
        return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}

    def egress(self, group: str) -> dict[int, dict[str, Any]]:
        """The rules of a security group by port; the one about S3's own addresses is left out."""
        with closing(client("ec2", self.address)) as ec2:
            (found,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
        return {rule["FromPort"]: rule for rule in found["IpPermissionsEgress"] if not rule.get("PrefixListIds")}

    def settings(self, task_definition: str) -> dict[str, str]:
        with closing(client("ecs", self.address)) as ecs:
            return container_settings(ecs, task_definition)

    def command(self, task_definition: str) -> list[str]:
        with closing(client("ecs", self.address)) as ecs:
            definition = ecs.describe_task_definition(taskDefinition=task_definition)["taskDefinition"]
        return list(definition["containerDefinitions"][0]["command"])

    def may(self, role_arn: str) -> dict[str, Any]:
        """What its own policies allow, by action, and the names of those that are attached."""
        role = role_arn.rpartition("/")[2]
        with closing(client("iam", self.address)) as iam:
            documents = [
                iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
                for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
            ]
            attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        own = {s["Action"]: s["Resource"] for document in documents for s in document["Statement"]}
        return own | ({"attached": [policy["PolicyName"] for policy in attached]} if attached else {})


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("existing")
    (folder / "dev.toml").write_text((FOLDER / "dev.toml").read_text())
    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres())
        postgres.execute("CREATE ROLE rds_iam")  # as RDS has it
        address = stack.enter_context(start_ministack(folder))
        commands = stack.enter_context(ecs_plays(address, postgres.url()))
        ec2, secrets, users = (
            stack.enter_context(closing(client(service, address)))
            for service in ("ec2", "secretsmanager", "cognito-idp")
        )
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        yield Account(
            address,
            folder,
            commands,
            vpc,
            [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24")["Subnet"]["SubnetId"] for n in range(3)],
            ec2.create_security_group(VpcId=vpc, GroupName="theirs", Description="theirs")["GroupId"],
            secrets.create_secret(Name="owner", SecretString='{"username": "owner", "password": "of theirs"}')["ARN"],
            users.create_user_pool(PoolName="theirs")["UserPool"]["Id"],
        )


def test_dev_has_no_endpoints_and_public_addresses_that_nobody_may_connect_to(account: Account) -> None:
    outputs = account.deployed("dev")

    made = account.resources("dev-network")
    assert {"InternetGateway", "PublicRoute", "S3Endpoint"} <= made
    assert not {name for name in made if name.endswith("Endpoint")} - {"S3Endpoint"}
    assert outputs["AssignPublicIp"] == "ENABLED"
    assert account.egress(outputs["WorkerSecurityGroupId"])[443]["IpRanges"][0]["CidrIp"] == "0.0.0.0/0"
    with closing(client("ec2", account.address)) as ec2:
        (group,) = ec2.describe_security_groups(GroupIds=[outputs["WorkerSecurityGroupId"]])["SecurityGroups"]
    assert not group["IpPermissions"]
    with closing(client("ecs", account.address)) as ecs:
        (service,) = ecs.describe_services(cluster=outputs["ClusterName"], services=["worker"])["services"]
    assert service["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "ENABLED"
    assert account.settings(outputs["WorkerTaskArn"])["DATABASE_IAM_AUTH"] == "true"


def test_the_tasks_may_pull_from_the_repository_that_the_image_is_in(account: Account) -> None:
    if not account.stacks("dev"):
        account.deployed("dev")
    with closing(client("iam", account.address)) as iam:
        (role,) = [
            role["RoleName"] for role in iam.list_roles()["Roles"] if "dev-tasks-ExecutionRole" in role["RoleName"]
        ]
        document = iam.get_role_policy(RoleName=role, PolicyName="start")["PolicyDocument"]

    (pull,) = [statement for statement in document["Statement"] if "ecr:BatchGetImage" in statement["Action"]]
    assert pull["Resource"] == "arn:aws:ecr:us-east-1:210987654321:repository/shared/signup-sync"


def test_a_vpc_with_nat_a_database_and_a_pool_are_used_and_nothing_of_them_is_made(account: Account) -> None:
    outputs = account.deployed("nat", theirs(account))

    assert account.resources("nat-network") == {
        "WorkerSecurityGroup",
        "RotationSecurityGroup",
        "ReconcileSecurityGroup",
    }
    assert account.resources("nat-database") == {"WorkerSecret"}
    assert not {"UserPool", "UserPoolClient"} & account.resources("nat-sign-up")
    assert not {"Connections", "FreeStorage"} & account.resources("nat-alarms")
    rules = account.egress(outputs["WorkerSecurityGroupId"])
    assert rules.keys() == {443, 6432}
    assert rules[443]["IpRanges"][0]["CidrIp"] == "0.0.0.0/0"
    assert rules[6432]["UserIdGroupPairs"][0]["GroupId"] == account.group
    settings = account.settings(outputs["WorkerTaskArn"])
    assert settings["DATABASE_SCHEMA"] == "signup_sync"
    assert settings["DATABASE_URL"].startswith(
        "postgresql://signup_sync_worker@db.example.com:6432/application?sslmode=verify-full&"
    )
    assert account.settings(outputs["OwnerTaskArn"])["DATABASE_SECRET_ARN"] == account.secret
    with closing(client("secretsmanager", account.address)) as secrets:
        secret = json.loads(secrets.get_secret_value(SecretId=outputs["WorkerSecretArn"])["SecretString"])
    # What the function that rotates it needs (AWS Secrets Manager User Guide, "JSON structure of AWS Secrets Manager
    # secrets", "Amazon RDS and Aurora PostgreSQL").
    assert {name: secret[name] for name in ("engine", "host", "port", "dbname")} == {
        "engine": "postgres",
        "host": "db.example.com",
        "port": 6432,
        "dbname": "application",
    }
    assert outputs["ReconcileSubnetIds"] == account.subnets[2]
    assert account.egress(outputs["ReconcileSecurityGroupId"]).keys() == {443, 6432}


def test_changes_are_followed_with_a_login_of_its_own_and_no_longer_when_it_is_switched_off(account: Account) -> None:
    switched = 'ReconcileChanges = true\nExistingDatabaseResourceId = "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"\n'
    on = account.deployed("nat", theirs(account) + switched)
    followed, settings = account.command(on["ReconcileTaskArn"]), account.settings(on["ReconcileTaskArn"])
    allowed = account.may(on["ReconcileRoleArn"])
    granted = account.commands[-1]
    off = account.deployed("nat", theirs(account))

    assert followed == ["reconcile", "--user-pool-id", account.pool, "--json", "--changes"]
    assert granted == ["db", "grant-reconciler", "--iam"]
    assert settings["DATABASE_URL"].startswith("postgresql://signup_sync_reconciler@db.example.com:6432/application?")
    assert settings["DATABASE_IAM_AUTH"] == "true"
    assert "DATABASE_SECRET_ARN" not in settings
    assert allowed.keys() == {"cognito-idp:ListUsers", "sqs:SendMessage", "rds-db:connect"}
    assert allowed["rds-db:connect"].endswith(":dbuser:db-ABCDEFGHIJKLMNOPQRSTUVWXYZ/signup_sync_reconciler")
    assert "DATABASE_IAM_AUTH" not in account.settings(on["WorkerTaskArn"])
    assert account.commands[-1] == ["db", "grant-worker"]
    assert account.command(off["ReconcileTaskArn"]) == followed[:-1]
    assert account.settings(off["ReconcileTaskArn"])["DATABASE_SECRET_ARN"] == off["WorkerSecretArn"]
    assert account.may(off["ReconcileRoleArn"]).keys() == {"cognito-idp:ListUsers", "sqs:SendMessage", "attached"}


def test_the_rotation_goes_when_the_worker_logs_in_by_iam(account: Account) -> None:
    account.deployed("nat", theirs(account))
    by_iam = theirs(account) + 'DatabaseLogin = "iam"\nExistingDatabaseResourceId = "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"\n'
    dry = account.deploy("nat", by_iam, "--dry-run")
    stacks_after_dry_run = account.stacks("nat")
    account.deployed("nat", by_iam)

    assert "rotation: is removed" in dry.stderr
    assert stacks_after_dry_run - account.stacks("nat") == {"rotation"}


def test_what_was_there_before_stays_when_all_of_an_environment_is_removed(account: Account) -> None:
    if not account.stacks("nat"):
        account.deployed("nat", theirs(account))
    options = ("--with-data", "--environments", str(account.folder))
    result = run_deploy(account.folder, account.address, "destroy", *options, environment="nat")

    assert result.returncode == 0, result.stderr
    assert not account.stacks("nat")
    with ExitStack() as stack:
        ec2, secrets, users = (
            stack.enter_context(closing(client(service, account.address)))
            for service in ("ec2", "secretsmanager", "cognito-idp")
        )
        assert len(ec2.describe_subnets(SubnetIds=account.subnets)["Subnets"]) == 3
        assert ec2.describe_security_groups(GroupIds=[account.group])["SecurityGroups"]
        assert secrets.get_secret_value(SecretId=account.secret)["SecretString"]
        assert users.describe_user_pool(UserPoolId=account.pool)["UserPool"]["Name"] == "theirs"


def theirs(account: Account) -> str:
    """The parameters of a VPC with NAT, with a database and a pool."""
    return f"""
        Egress = "nat"
        ExistingVpcId = "{account.vpc}"
        ExistingSubnetIds = {json.dumps(account.subnets[:2])}
        ReconcileSubnetIds = ["{account.subnets[2]}"]
        ExistingDatabaseAddress = "db.example.com"
        ExistingDatabasePort = 6432
        ExistingDatabaseName = "application"
        ExistingDatabaseSecurityGroupId = "{account.group}"
        ExistingOwnerSecretArn = "{account.secret}"
        DatabaseSchema = "signup_sync"
        ExistingUserPoolId = "{account.pool}"
    """


def test_a_vpc_with_endpoints_and_a_database_elsewhere_are_reached_by_what_is_named_and_nothing_else(
    account: Account,
) -> None:
    outputs = account.deployed(
        "endpoints",
        f"""
        ExistingVpcId = "{account.vpc}"
        ExistingSubnetIds = {json.dumps(account.subnets)}
        ExistingEndpointSecurityGroupId = "{account.group}"
        ExistingDatabaseAddress = "cluster.example.com"
        ExistingDatabaseName = "application"
        ExistingDatabaseCidr = "10.9.8.7/32"
        ExistingDatabaseId = "writer"
        ExistingDatabaseResourceId = "cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        ExistingOwnerSecretArn = "{account.secret}"
        DatabaseLogin = "iam"
        """,
    )

    rules = account.egress(outputs["WorkerSecurityGroupId"])
    assert rules[443]["UserIdGroupPairs"][0]["GroupId"] == account.group
    assert not rules[443].get("IpRanges")
    assert rules[5432]["IpRanges"][0]["CidrIp"] == "10.9.8.7/32"
    assert outputs["DatabaseSecurityGroupId"] == "none"
    assert {"Connections", "FreeStorage"} <= account.resources("endpoints-alarms")
    with closing(client("iam", account.address)) as iam:
        policies = iam.list_policies(Scope="Local")["Policies"]
        documents = [
            iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
            for policy in policies
            if "endpoints-tasks" in policy["PolicyName"]
        ]
    assert "dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/signup_sync_worker" in json.dumps(documents, default=str)


def test_a_stack_whose_creation_failed_is_made_anew_and_a_dry_run_leaves_it(account: Account) -> None:
    parameters = 'Egress = "nat"\n'
    failed = account.deploy("failed", parameters, "--templates", str(impossible_templates(account.folder)))
    dry = account.deploy("failed", parameters, "--dry-run")
    after_dry_run = account.stacks("failed")
    again = account.deploy("failed", parameters, answer="y\ny\ny\nn\n")

    assert failed.returncode == 2
    assert "artifacts: ROLLBACK_COMPLETE: Impossible: " in failed.stderr
    assert dry.returncode == 0
    assert "a deployment deletes what is left of it and makes it anew" in dry.stderr
    assert after_dry_run == {"artifacts"}
    assert "stopped before queues" in again.stderr
    assert {"NatSubnet", "NatSubnetRoute", "InternetGateway"} <= account.resources("failed-network")
    with closing(client("cloudformation", account.address)) as cloudformation:
        (stack,) = cloudformation.describe_stacks(StackName="signup-sync-failed-artifacts")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"


def impossible_templates(folder: Path) -> Path:
    """The templates, with a resource in the first stack that cannot be made."""
    impossible = folder / "impossible"
    shutil.copytree(adapted_templates(folder), impossible)
    path = impossible / "artifacts.yaml"
    template = json.loads(path.read_text())
    template["Resources"]["Impossible"] = {
        "Type": "AWS::SQS::Queue",
        "Properties": {"QueueName": {"Fn::GetAtt": ["ArtifactsBucket", "Nothing"]}},
    }
    path.write_text(json.dumps(template))
    return impossible


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ('ExistingVpcId = "vpc-..."', "ExistingVpcId is a placeholder: vpc-..."),
        (
            'ExistingVpcId = "vpc-0123456789abcdef0"\nExistingSubnetIds = ["subnet-0123456789abcdef0"]',
            'ExistingVpcId needs Egress = "nat" where it has a NAT gateway, or else ExistingEndpointSecurityGroupId',
        ),
    ],
)
def test_what_cannot_work_is_named_before_anything_is_done(account: Account, parameters: str, reason: str) -> None:
    result = account.deploy("refused", parameters)

    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == f"Error: refused.toml: {reason}"
    assert not account.stacks("refused")


@pytest.mark.parametrize(
    ("template", "parameters"),
    [
        ("network", {"ExistingVpcId": "vpc-0123456789abcdef0"}),
        ("network", {"ExistingVpcId": "vpc-0123456789abcdef0", "ExistingEndpointSecurityGroupId": "sg-00000000"}),
        ("network", {"ExistingDatabaseAddress": "db.example.com"}),
        ("database", {"ExistingDatabaseAddress": "db.example.com", "ExistingDatabaseName": "application"}),
        (
            "database",
            {
                "ExistingDatabaseAddress": "db.example.com",
                "ExistingDatabaseName": "application",
                "ExistingOwnerSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:owner",
                "ReconcileChanges": "true",
            },
        ),
        ("sign-up", {"EmailIdentityArn": "arn:aws:ses:us-east-1:123456789012:identity/example.com"}),
    ],
)
def test_the_templates_refuse_the_same_without_the_script(
    account: Account, template: str, parameters: dict[str, str]
) -> None:
    with closing(client("cloudformation", account.address)) as cloudformation:
        body = (adapted_templates(account.folder) / f"{template}.yaml").read_text()
        required = {name: "x" for name, declared in read(template)["Parameters"].items() if "Default" not in declared}
        with pytest.raises(cloudformation.exceptions.ClientError, match=r"Assert|pattern|needs"):
            cloudformation.create_stack(
                StackName="refused",
                TemplateBody=body,
                Parameters=[
                    {"ParameterKey": key, "ParameterValue": value} for key, value in {**required, **parameters}.items()
                ],
            )
