"""What does not go together is refused with the parameter's name and what to do."""

import pytest

from deploy import choices
from deploy.environment import FOLDER, Environment, InvalidEnvironment

VPC = {
    "ExistingVpcId": "vpc-0123456789abcdef0",
    "ExistingSubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
}
DATABASE = {
    "ExistingDatabaseAddress": "db.example.com",
    "ExistingDatabaseName": "application",
    "ExistingOwnerSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:owner",
    "ExistingDatabaseSecurityGroupId": "sg-0123456789abcdef0",
}


@pytest.mark.parametrize("name", [path.stem for path in FOLDER.glob("*.toml")])
def test_the_environments_that_are_there_can_be_deployed(name: str) -> None:
    choices.check(Environment.read(name).parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {**VPC, "Egress": "nat"},
        {**VPC, "ExistingEndpointSecurityGroupId": "sg-0123456789abcdef0"},
        {**VPC, "Egress": "nat", "ReconcileSubnetIds": "subnet-0123456789abcdef2"},
        DATABASE,
        {**DATABASE, "DatabaseLogin": "iam", "ExistingDatabaseResourceId": "db-ABC"},
        {**DATABASE, "ReconcileChanges": "true", "ExistingDatabaseResourceId": "db-ABC"},
        {**DATABASE, "ReconcileChanges": "false"},
        {"Egress": "public", "DatabaseLogin": "iam"},
        {"ReconcileChanges": "true"},
    ],
)
def test_what_goes_together_is_taken(parameters: dict[str, str]) -> None:
    choices.check(parameters)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"ExistingVpcId": "vpc-..."}, "ExistingVpcId is a placeholder: vpc-..."),
        ({"ExistingEndpointSecurityGroupId": "sg-00000000"}, "is a placeholder: sg-00000000"),
        ({"ExistingSubnetIds": "subnet-0a1b2c3d,subnet-00000000000000000"}, "ExistingSubnetIds is a placeholder"),
        ({"ExistingVpcId": VPC["ExistingVpcId"]}, "ExistingVpcId needs ExistingSubnetIds"),
        (VPC, 'ExistingVpcId needs Egress = "nat"'),
        ({"ReconcileSubnetIds": "subnet-0a1b2c3d"}, "are subnets of ExistingVpcId, which is missing"),
        ({"Egress": "public"}, 'Egress = "public" needs DatabaseLogin = "iam"'),
        ({**DATABASE, "ExistingDatabaseName": ""}, "needs ExistingDatabaseName"),
        ({**DATABASE, "ExistingOwnerSecretArn": ""}, "needs ExistingOwnerSecretArn"),
        ({**DATABASE, "ExistingDatabaseSecurityGroupId": ""}, "needs ExistingDatabaseSecurityGroupId, or"),
        ({**DATABASE, "ExistingDatabaseCidr": "10.0.0.1/32"}, "needs ExistingDatabaseSecurityGroupId, or"),
        ({**DATABASE, "DatabaseLogin": "iam"}, "needs ExistingDatabaseResourceId"),
        ({**DATABASE, "ReconcileChanges": "true"}, "ReconcileChanges needs ExistingDatabaseResourceId"),
        ({"ExistingOwnerSecretArn": DATABASE["ExistingOwnerSecretArn"]}, "ExistingDatabaseAddress, which is missing"),
        ({"EmailIdentityArn": "arn:aws:ses:us-east-1:123456789012:identity/example.com"}, "and EmailFrom go together"),
        ({"EmailFrom": "no-reply@example.com"}, "and EmailFrom go together"),
    ],
)
def test_what_does_not_is_refused(parameters: dict[str, str], reason: str) -> None:
    with pytest.raises(InvalidEnvironment, match=r"^[^\n]+$") as refused:
        choices.check(parameters)

    assert reason in str(refused.value)
