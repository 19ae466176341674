"""`deploy/deploy` and `deploy/destroy`."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from deploy import image, lambda_zip, owner_task
from deploy.environment import FOLDER as ENVIRONMENTS
from deploy.environment import Environment, InvalidEnvironment
from deploy.image import ImageNotBuilt
from deploy.owner_task import TaskFailed
from deploy.stacks import FOLDER as TEMPLATES
from deploy.stacks import Stack, StackFailed

# In this order; what they promise each other is in their outputs and parameters.
DATA = ("artifacts", "network", "queues", "database", "sign-up")
COMPUTE = ("tasks", "service", "rotation", "alarms")
PROTECTED = ("queues", "database", "sign-up")

OWNER_COMMANDS = (["db", "migrate"], ["db", "grant-worker"])


class Refused(click.ClickException):
    """One line that says what is wrong, and what to do. Exit status 2."""

    exit_code = 2


class OneLineErrors(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (InvalidEnvironment, StackFailed, ImageNotBuilt, TaskFailed) as error:
            raise Refused(str(error)) from error
        except (BotoCoreError, ClientError) as error:
            raise Refused(str(error).partition("\n")[0]) from error


@dataclass
class Target:
    """An environment in an account: its stacks, and all values that are known so far."""

    environment: Environment
    session: Any
    templates: Path
    values: dict[str, str]

    def client(self, service: str) -> Any:
        return self.session.client(service)

    def stack(self, name: str) -> Stack:
        return Stack(self.client("cloudformation"), name, self.environment.name, self.templates)


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Deploy signup-sync into an AWS account, and remove it."""


def environment_options(command: Any) -> Any:
    for option in (
        click.argument("environment"),
        click.option("--environments", type=click.Path(path_type=Path), default=ENVIRONMENTS, help="Folder of *.toml."),
        click.option("--templates", type=click.Path(path_type=Path), default=TEMPLATES, help="Folder of *.yaml."),
        click.option("--yes", is_flag=True, help="Ask nothing."),
    ):
        command = option(command)
    return command


@cli.command
@environment_options
@click.option("--image", "image_name", help="An image that is in a registry already, with its tag or digest.")
@click.option("--dry-run", is_flag=True, help="Show the change sets and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outputs as one JSON object.")
def deploy(
    environment: str,
    environments: Path,
    templates: Path,
    image_name: str | None,
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Create or update ENVIRONMENT, as `deploy/environments/ENVIRONMENT.toml` says.

    Each stack's change set is shown and confirmed before it is carried out. Workers are updated after the database has
    been migrated. Whatever fails, running it again goes on from there: CloudFormation rolls back what it had begun.

    \b
    Examples:
      deploy/deploy dev
      deploy/deploy prod --dry-run
      deploy/deploy prod --yes --json > outputs.json
    """
    target = open_target(environment, environments, templates)
    account = target.client("sts").get_caller_identity()["Account"]
    click.echo(f"{target.environment.name}: account {account}, {target.environment.region}", err=True)
    check_parameters(target)
    tag = image.current_tag() if image_name is None and not dry_run else ""
    target.values["S3PrefixListId"] = s3_prefix_list(target)
    target.values |= target.environment.parameters
    outputs: dict[str, str] = {}
    for name in (*DATA, *COMPUTE):
        if name == "rotation" and target.values.get("DatabaseLogin") == "iam":
            continue
        if not deploy_stack(target, name, outputs, yes=yes, dry_run=dry_run):
            break
        if name == "artifacts" and not dry_run:
            target.values |= upload(target, image_name, tag)
        elif name == "artifacts":
            target.values |= {"LambdaKey": lambda_zip.build().key, "Image": image_name or outputs["ImageRepositoryUri"]}
        elif name == "tasks" and not dry_run:
            prepare_database(target)
    show(outputs, as_json=as_json)


@cli.command
@environment_options
@click.option("--with-data", is_flag=True, help="The database, the queues and the user pool too. Cannot be undone.")
def destroy(environment: str, environments: Path, templates: Path, *, yes: bool, with_data: bool) -> None:
    """Remove what runs in ENVIRONMENT; keep the data unless told otherwise.

    Without --with-data the workers, the alarms and the schedule go. The user pool, its Lambda, the queues and the
    database stay: people can still sign up, and the events wait in the queue for up to 14 days. With --with-data those
    go as well; RDS keeps a last snapshot of the database.

    \b
    Examples:
      deploy/destroy dev
      deploy/destroy dev --with-data
    """
    target = open_target(environment, environments, templates)
    what = "everything, users and events included" if with_data else "the workers, the schedule and the alarms"
    if not yes and click.prompt(f"This removes {what}. Type the environment's name") != environment:
        raise Refused("that is another name; nothing was removed")
    for name in reversed(COMPUTE):
        remove(target, name)
    if with_data:
        for name in reversed(DATA):
            unprotect(target, name)
            remove(target, name)


def open_target(environment: str, environments: Path, templates: Path) -> Target:
    read = Environment.read(environment, environments)
    return Target(read, boto3.Session(region_name=read.region), templates, {"Environment": read.name})


def check_parameters(target: Target) -> None:
    """Refuse a parameter that no template has: it is misspelt. Raises `InvalidEnvironment`."""
    left = set(target.environment.parameters)
    for name in (*DATA, *COMPUTE):
        left -= target.stack(name).declared()
    if left:
        raise InvalidEnvironment(f"{target.environment.name}.toml: no template has a parameter {min(left)}")


def s3_prefix_list(target: Target) -> str:
    name = f"com.amazonaws.{target.environment.region}.s3"
    answer = target.client("ec2").describe_managed_prefix_lists(
        Filters=[{"Name": "prefix-list-name", "Values": [name]}]
    )
    if not answer["PrefixLists"]:
        raise StackFailed(f"the region has no prefix list {name}")
    return str(answer["PrefixLists"][0]["PrefixListId"])


def deploy_stack(target: Target, name: str, outputs: dict[str, str], *, yes: bool, dry_run: bool) -> bool:
    """Show, confirm and carry out; collect the stack's outputs. False: a dry run that cannot see further."""
    stack = target.stack(name)
    change_set, changes = stack.propose(target.values, target.environment.tags)
    click.echo(f"{name}:{'' if changes else ' no changes'}", err=True)
    for change in changes:
        replaces = click.style("  REPLACES", fg="red") if change.replaces else ""
        click.echo(f"  {change.action:8} {change.logical_id:28} {change.resource_type}{replaces}", err=True)
    if dry_run or not changes:
        stack.discard(change_set)
    else:
        carry_out(stack, change_set, yes=yes)
    if name in PROTECTED and not dry_run:
        stack.protect(on=target.environment.parameters.get("Protected", "true") == "true")
    if stack.status() is None:
        click.echo("  what follows depends on this stack's outputs", err=True)
        return False
    target.values |= stack.outputs() | target.environment.parameters
    outputs |= stack.outputs()
    return True


def carry_out(stack: Stack, change_set: str, *, yes: bool) -> None:
    if not yes and not click.confirm("  Carry this out?", err=True):
        stack.discard(change_set)
        raise Refused(f"stopped before {stack.name}; what was deployed until here stays")
    try:
        stack.execute(change_set, lambda status: click.echo(f"  {status.lower()}", err=True))
    except KeyboardInterrupt:
        raise Refused(f"interrupted; CloudFormation goes on with {stack.name}") from None


def upload(target: Target, image_name: str | None, tag: str) -> dict[str, str]:
    """Put the Lambda's zip and the image where the templates find them; return the parameters that name them."""
    package = lambda_zip.build()
    bucket = target.values["ArtifactsBucket"]
    target.client("s3").put_object(Bucket=bucket, Key=package.key, Body=package.content)
    click.echo(f"  the Lambda: {len(package.content):,} bytes, {package.key}", err=True)
    if image_name is None:
        image.fetch_certificates()
        image_name = image.push(
            target.client("ecr"),
            target.values["ImageRepositoryName"],
            target.values["ImageRepositoryUri"],
            tag,
            target.values.get("CpuArchitecture", "X86_64"),
        )
    return {"LambdaKey": package.key, "Image": image_name}


def prepare_database(target: Target) -> None:
    """Migrate, and make the worker's role, before a worker of this version runs."""
    for command in OWNER_COMMANDS:
        iam = ["--iam"] if command[-1] == "grant-worker" and target.values.get("DatabaseLogin") == "iam" else []
        click.echo(f"  signup-sync {' '.join([*command, *iam])}", err=True)
        owner_task.run(target.client("ecs"), target.values, [*command, *iam])


def unprotect(target: Target, name: str) -> None:
    """Let CloudFormation delete a stack of data, and RDS and Cognito what is in it."""
    stack = target.stack(name)
    if stack.status() is None:
        return
    if name == "artifacts":
        empty(target, stack.outputs()["ArtifactsBucket"])
    if name in PROTECTED:
        stack.protect(on=False)
        stack.set_parameter("Protected", "false")


def empty(target: Target, bucket: str) -> None:
    objects = target.session.resource("s3").Bucket(bucket)
    objects.object_versions.delete()


def remove(target: Target, name: str) -> None:
    click.echo(f"removing {name}", err=True)
    target.stack(name).delete()


def show(outputs: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(outputs))
        return
    for name, value in sorted(outputs.items()):
        click.echo(f"{name:24} {value}")


if __name__ == "__main__":
    cli(prog_name="deploy", args=sys.argv[1:])
