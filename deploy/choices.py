"""Which parameters go together: what cannot work is refused before anything is done."""

import re
from collections.abc import Callable, Mapping

from deploy.environment import InvalidEnvironment

_PLACEHOLDER = re.compile(r"\.\.\.|…|<.*>|\b(?:vpc|subnet|sg)-0+(?![0-9a-f])")

Parameters = Mapping[str, str]


def check(parameters: Parameters) -> None:
    """Raises `InvalidEnvironment` with the first that is wrong, and what to do."""
    for name, value in parameters.items():
        if _PLACEHOLDER.search(value):
            raise InvalidEnvironment(f"{name} is a placeholder: {value}")
    for is_wrong, message in _REFUSED:
        if is_wrong(lambda name: parameters.get(name, "")):
            raise InvalidEnvironment(message)


_Get = Callable[[str], str]

# The templates have rules for what is within one of them; these are all, in an order that leads from one to the next.
_REFUSED: tuple[tuple[Callable[[_Get], object], str], ...] = (
    (
        lambda get: get("ExistingVpcId") and not get("ExistingSubnetIds"),
        "ExistingVpcId needs ExistingSubnetIds: two of its subnets or more, in two zones",
    ),
    (
        lambda get: not get("ExistingVpcId") and (get("ExistingSubnetIds") or get("ReconcileSubnetIds")),
        "ExistingSubnetIds and ReconcileSubnetIds are subnets of ExistingVpcId, which is missing",
    ),
    (
        lambda get: (
            get("ExistingVpcId")
            and (get("Egress") or "endpoints") == "endpoints"
            and not get("ExistingEndpointSecurityGroupId")
        ),
        'ExistingVpcId needs Egress = "nat" where it has a NAT gateway, or else ExistingEndpointSecurityGroupId',
    ),
    (
        lambda get: get("Egress") == "public" and get("DatabaseLogin") != "iam",
        'Egress = "public" needs DatabaseLogin = "iam": the function that rotates a password gets no public address',
    ),
    (
        lambda get: get("ExistingDatabaseAddress") and not get("ExistingDatabaseName"),
        "ExistingDatabaseAddress needs ExistingDatabaseName",
    ),
    (
        lambda get: get("ExistingDatabaseAddress") and not get("ExistingOwnerSecretArn"),
        "ExistingDatabaseAddress needs ExistingOwnerSecretArn: a secret with username and password",
    ),
    (
        lambda get: (
            get("ExistingDatabaseAddress")
            and bool(get("ExistingDatabaseSecurityGroupId")) == bool(get("ExistingDatabaseCidr"))
        ),
        "ExistingDatabaseAddress needs ExistingDatabaseSecurityGroupId, or ExistingDatabaseCidr where it has no group",
    ),
    (
        lambda get: (
            get("ExistingDatabaseAddress") and get("DatabaseLogin") == "iam" and not get("ExistingDatabaseResourceId")
        ),
        'DatabaseLogin = "iam" needs ExistingDatabaseResourceId, which tells IAM which database is meant',
    ),
    (
        lambda get: (
            get("ExistingDatabaseAddress")
            and get("ReconcileChanges") == "true"
            and not get("ExistingDatabaseResourceId")
        ),
        "ReconcileChanges needs ExistingDatabaseResourceId: the reconciliation logs in by IAM, so it must be of RDS",
    ),
    (
        lambda get: not get("ExistingDatabaseAddress") and get("ExistingOwnerSecretArn"),
        "ExistingOwnerSecretArn is of ExistingDatabaseAddress, which is missing",
    ),
    (
        lambda get: bool(get("EmailIdentityArn")) != bool(get("EmailFrom")),
        "EmailIdentityArn and EmailFrom go together: the identity that SES has verified, and the sender",
    ),
)
