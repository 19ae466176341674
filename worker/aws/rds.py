"""RDS and EC2: a database instance that is started and stopped, and the security group before it."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from db.credentials import DEFAULT_PORT
from signup_sync.aws_errors import AwsError, explain

Address = IPv4Address | IPv6Address

# "The instance restarts automatically after 7 days" (Amazon RDS API Reference, StopDBInstance).
DAYS_UNTIL_RESTART = 7

_CONFIG: dict[str, Any] = {
    "connect_timeout": 3.0,
    "read_timeout": 20.0,
    "retries": {"mode": "standard", "total_max_attempts": 3},
}


class RdsError(AwsError):
    """A call to RDS or EC2 failed."""


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance as RDS describes it (Amazon RDS API Reference, DBInstance)."""

    id: str
    status: str
    """`available`, `stopped`, or another (Amazon RDS User Guide, "Viewing Amazon RDS DB instance status")."""
    instance_class: str
    engine: str
    """With its version."""
    address: str | None
    """None while it is being made."""
    port: int
    public: bool
    """Whether its address can be reached from outside of its VPC at all."""
    security_group_ids: tuple[str, ...]
    restarts_at: datetime | None
    """When a stopped one starts by itself."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a security group that lets one range of addresses in."""

    id: str
    cidr: str
    description: str
    ports: tuple[int, int]


def connect(service: Literal["rds", "ec2"]) -> Any:
    """A client of the region, the endpoint and the credentials that the standard AWS settings name.

    The caller closes it. Raises `RdsError`.
    """
    import boto3  # noqa: PLC0415 (see `signup_sync.sqs.connect`)
    from botocore.config import Config  # noqa: PLC0415 (see `signup_sync.sqs.connect`)

    try:
        return boto3.client(service, config=Config(**_CONFIG))
    except (BotoCoreError, ValueError) as error:
        raise _rds_error(service, "Connect", error) from error


def describe(rds: Any, instance_id: str) -> Instance:
    """Raises `RdsError`."""
    return _instance(_call(rds, "describe_db_instances", DBInstanceIdentifier=instance_id)["DBInstances"][0])


def start(rds: Any, instance_id: str) -> None:
    """Tell a stopped instance to start, which takes minutes. Raises `RdsError`."""
    _call(rds, "start_db_instance", DBInstanceIdentifier=instance_id)


def stop(rds: Any, instance_id: str) -> None:
    """Tell an instance to stop. Raises `RdsError`."""
    _call(rds, "stop_db_instance", DBInstanceIdentifier=instance_id)


def allow(ec2: Any, group_id: str, port: int, address: Address, description: str) -> Rule | None:
    """Let an address in, in place of all that was let in under the same description.

    The new rule is there before the old ones go; other rules are not touched. If one of those lets the address in
    already it is returned, and none is added: a group has no two rules for the same. Raises `RdsError`.
    """
    cidr = f"{address}/{address.max_prefixlen}"
    same = next((rule for rule in _rules(ec2, group_id) if (rule.cidr, rule.ports) == (cidr, (port, port))), None)
    if same is None:
        family, key = ("IpRanges", "CidrIp") if isinstance(address, IPv4Address) else ("Ipv6Ranges", "CidrIpv6")
        ranges = {family: [{key: cidr, "Description": description}]}
        permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **ranges}
        _call(ec2, "authorize_security_group_ingress", GroupId=group_id, IpPermissions=[permission])
    revoke(ec2, group_id, description, keep=cidr)
    return same if same and same.description != description else None


def revoke(ec2: Any, group_id: str, description: str, *, keep: str | None = None) -> list[Rule]:
    """Remove the rules of a description, but for the range `keep`; return them. Raises `RdsError`."""
    own = [rule for rule in _rules(ec2, group_id) if rule.description == description and rule.cidr != keep]
    if own:
        ids = [rule.id for rule in own]
        _call(ec2, "revoke_security_group_ingress", GroupId=group_id, SecurityGroupRuleIds=ids)
    return own


def _rules(ec2: Any, group_id: str) -> list[Rule]:
    """Those that let ranges of addresses in by TCP."""
    filters = [{"Name": "group-id", "Values": [group_id]}]
    # Without `MaxResults` all are in one answer (Amazon EC2 API Reference, DescribeSecurityGroupRules).
    rules = _call(ec2, "describe_security_group_rules", Filters=filters)["SecurityGroupRules"]
    return [
        Rule(rule["SecurityGroupRuleId"], cidr, rule.get("Description", ""), (rule["FromPort"], rule["ToPort"]))
        for rule in rules
        if not rule["IsEgress"] and rule["IpProtocol"] == "tcp"
        if (cidr := rule.get("CidrIpv4") or rule.get("CidrIpv6"))
    ]


def _instance(answer: Any) -> Instance:
    endpoint = answer.get("Endpoint", {})
    return Instance(
        id=answer["DBInstanceIdentifier"],
        status=answer["DBInstanceStatus"],
        instance_class=answer["DBInstanceClass"],
        engine=f"{answer['Engine']} {answer['EngineVersion']}",
        address=endpoint.get("Address"),
        port=endpoint.get("Port") or DEFAULT_PORT,
        public=answer.get("PubliclyAccessible", False),
        security_group_ids=tuple(group["VpcSecurityGroupId"] for group in answer.get("VpcSecurityGroups", ())),
        restarts_at=answer.get("AutomaticRestartTime"),
    )


def _call(client: Any, method: str, **parameters: object) -> Any:
    try:
        return getattr(client, method)(**parameters)
    except (BotoCoreError, ClientError) as error:
        raise _rds_error(
            client.meta.service_model.service_name, client.meta.method_to_api_mapping[method], error
        ) from error


def _rds_error(service: str, operation: str, error: Exception) -> RdsError:
    variable = f"AWS_ENDPOINT_URL_{service.upper()}"
    code, text = explain(error, action=f"{service}:{operation}", endpoint_variable=variable)
    return RdsError(operation, code, text)
