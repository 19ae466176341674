"""`signup-sync rds`."""

import json
import os
import pwd
import re
from contextlib import closing
from ipaddress import ip_address

import click

from worker.aws import rds as aws
from worker.aws.public_address import AddressUnknown, public_address
from worker.aws.rds import Address, Instance, RdsError
from worker.cli.environment_option import environment_option
from worker.cli.refused import Refused
from worker.settings import Environment, RdsSettings, name_in
from worker.text import printable

# What belongs to a machine and not to somebody: two developers would take each other's rule for their own.
_NOBODYS_NAMES = ("root", "admin", "ubuntu", "debian", "ec2-user", "vscode", "codespace", "gitpod")

# Of what a rule's description may hold (Amazon EC2 API Reference, IpRange, "Description").
_is_name = re.compile(r"[A-Za-z0-9._@+-]{1,64}").fullmatch


class _Rds(click.Group):
    """The commands; what AWS refuses becomes one line."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (RdsError, AddressUnknown) as error:
            raise Refused(printable(str(error))) from error


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an address such as 203.0.113.7 or 2001:db8::7") from None


def _name(text: str) -> str:
    if not _is_name(text):
        raise click.BadParameter("should be letters, digits and . _ @ + - only, 64 at most")
    return text


_name_option = click.option(
    "--name", type=_name, metavar="NAME", help="Whose rule it is. By default your user name on this machine."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(cls=_Rds)
def rds() -> None:
    """Stop and start the RDS instance, and let your own address in.

    Needs DATABASE_INSTANCE_ID (with --env prod: PROD_DATABASE_INSTANCE_ID) and the standard AWS variables. The
    permissions: rds:DescribeDBInstances for all, rds:StartDBInstance, rds:StopDBInstance; for the addresses
    ec2:DescribeSecurityGroupRules, ec2:AuthorizeSecurityGroupIngress and ec2:RevokeSecurityGroupIngress.

    \b
    A developer's day:
      signup-sync rds start
      signup-sync rds allow-my-ip
      signup-sync rds revoke-my-ip
      signup-sync rds stop
    """


@rds.command
@environment_option
@_json_option
def status(environment: Environment, as_json: bool) -> None:
    """Show the instance: its status, its address, and when AWS starts it again if it is stopped.

    \b
    Example:
      signup-sync rds status --json | jq -r .status
    """
    instance = _described(RdsSettings.of(environment))
    record = _record(instance)
    if as_json:
        click.echo(json.dumps(record))
        return
    words = {"public": "yes" if instance.public else "no", "security_groups": _listed(instance)}
    for name, value in {**record, **words}.items():
        click.echo(f"{name.replace('_', ' '):<16} {'-' if value is None else printable(str(value))}")


@rds.command
@environment_option
def start(environment: Environment) -> None:
    """Start the instance. That takes minutes; `status` says when it is available.

    \b
    Example:
      signup-sync rds start
    """
    settings = RdsSettings.of(environment)
    with closing(aws.connect("rds")) as client:
        instance = aws.describe(client, settings.database_instance_id)
        if instance.status in ("available", "starting"):
            click.echo(f"{instance.id} is {instance.status} already")
            return
        if instance.status != "stopped":
            raise Refused(f"{instance.id} is {instance.status}: only a stopped instance can be started")
        aws.start(client, instance.id)
    click.echo(f"starting {instance.id}; signup-sync rds status says when it is available")


@rds.command
@environment_option
@click.option("--yes", is_flag=True, help="Do not ask, unless it is production.")
def stop(environment: Environment, yes: bool) -> None:
    """Stop the instance for a while, which saves the cost of its hours. Storage and backups go on costing.

    AWS starts it again by itself after seven days. Until it is started nobody can use the database: the worker pauses,
    and the queue keeps what comes for up to 10 days. For production the instance's name has to be typed.

    \b
    Example:
      signup-sync rds stop --yes
    """
    settings = RdsSettings.of(environment)
    with closing(aws.connect("rds")) as client:
        instance = aws.describe(client, settings.database_instance_id)
        if instance.status in ("stopped", "stopping"):
            click.echo(f"{instance.id} is {instance.status} already")
            return
        if instance.status != "available":
            raise Refused(f"{instance.id} is {instance.status}: only an available instance can be stopped")
        _confirm_stop(instance, environment, yes=yes)
        aws.stop(client, instance.id)
    click.echo(f"stopping {instance.id}; AWS starts it again by itself after {aws.DAYS_UNTIL_RESTART} days")


@rds.command
@environment_option
@_name_option
@click.option("--ip", "address", type=_address, metavar="ADDRESS", help="Instead of the one that AWS sees you with.")
def allow_my_ip(environment: Environment, name: str | None, address: Address | None) -> None:
    """Let your address in to the database's port, instead of the one that you had before.

    Your address is asked of checkip.amazonaws.com unless it is given. The rule of the security group is known by its
    description, which is `signup-sync: ` and your name; no other rule is touched. The group is the instance's only
    one, or the one of DATABASE_SECURITY_GROUP_ID.

    \b
    Examples:
      signup-sync rds allow-my-ip
      signup-sync rds allow-my-ip --name ada --ip 203.0.113.7
    """
    description = _description(name)
    settings = RdsSettings.of(environment)
    instance = _described(settings)
    group_id = _group_id(environment, settings, instance)
    address = address or public_address()
    with closing(aws.connect("ec2")) as client:
        other = aws.allow(client, group_id, instance.port, address, description)
    if other:
        click.echo(f"{address} was let in already, by the rule {other.id} ({printable(other.description) or '-'})")
    else:
        click.echo(f"{address} may connect to {instance.address} on port {instance.port}")
    if not instance.public:
        click.echo(f"{instance.id} has no public address: it can be reached through its VPC only", err=True)


@rds.command
@environment_option
@_name_option
def revoke_my_ip(environment: Environment, name: str | None) -> None:
    """Remove the rule that `allow-my-ip` made for you, and no other.

    \b
    Example:
      signup-sync rds revoke-my-ip --name ada
    """
    description = _description(name)
    settings = RdsSettings.of(environment)
    group_id = _group_id(environment, settings, _described(settings))
    with closing(aws.connect("ec2")) as client:
        removed = aws.revoke(client, group_id, description)
    for rule in removed:
        click.echo(f"{rule.cidr} may no longer connect")
    if not removed:
        click.echo(f"there is no rule {description!r}")


def _record(instance: Instance) -> dict[str, object]:
    return {
        "id": instance.id,
        "status": instance.status,
        "class": instance.instance_class,
        "engine": instance.engine,
        "address": instance.address,
        "port": instance.port,
        "public": instance.public,
        "security_groups": list(instance.security_group_ids),
        "restarts_at": instance.restarts_at.isoformat(timespec="seconds") if instance.restarts_at else None,
    }


def _described(settings: RdsSettings) -> Instance:
    with closing(aws.connect("rds")) as client:
        return aws.describe(client, settings.database_instance_id)


def _group_id(environment: Environment, settings: RdsSettings, instance: Instance) -> str:
    if settings.database_security_group_id:
        return settings.database_security_group_id
    if len(instance.security_group_ids) != 1:
        variable = name_in(environment, "DATABASE_SECURITY_GROUP_ID")
        raise Refused(f"set {variable}: {instance.id} has the security groups {_listed(instance)}")
    return instance.security_group_ids[0]


def _listed(instance: Instance) -> str:
    return ", ".join(instance.security_group_ids) or "-"


def _description(name: str | None) -> str:
    """Of the rule. Raises `Refused` if nobody can say whose it is."""
    given = name or _user_name()
    if given is None:
        raise Refused("whose address is it? The user here is nobody in particular: say --name NAME")
    return f"signup-sync: {given}"


def _user_name() -> str | None:
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container, for example
        return None
    return name if name not in _NOBODYS_NAMES and _is_name(name) else None


def _confirm_stop(instance: Instance, environment: Environment, *, yes: bool) -> None:
    """Raises `Refused` if it is not to be stopped."""
    if environment == "prod":
        question = f"This is production. To stop it, type the instance's name ({instance.id})"
        wanted = click.prompt(question, err=True) == instance.id
    else:
        wanted = yes or click.confirm(f"Stop {instance.id}?", err=True)
    if not wanted:
        raise Refused(f"{instance.id} was not stopped")
