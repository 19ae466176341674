"""`deploy/deploy`, `deploy/destroy`, `deploy/reconcile` and `deploy/attach-trigger`."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from deploy import choices, database_logs, image, lambda_zip, owner_task, reconciliation
from deploy.environment import FOLDER as ENVIRONMENTS
from deploy.environment import Environment, InvalidEnvironment
from deploy.image import ImageNotBuilt
from deploy.owner_task import TaskFailed
from deploy.pool_trigger import Proposal, TriggerNotAttached
from deploy.stacks import FOLDER as TEMPLATES
from deploy.stacks import NEVER_MADE, Stack, StackFailed

# What stays and what goes with `deploy/destroy`; `deployment_order` says what is deployed when.
DATA = ("artifacts", "network", "queues", "database", "sign-up")
COMPUTE = ("tasks", "service", "rotation", "deletions", "alarms")
PROTECTED = ("queues", "database", "sign-up")

SCRIPT_PARAMETERS = {"ReaderRole"}  # of an environment, and of no template


class Refused(click.ClickException):
    """One line that says what is wrong, and what to do. Exit status 2."""

    exit_code = 2


class OneLineErrors(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (InvalidEnvironment, StackFailed, ImageNotBuilt, TaskFailed, TriggerNotAttached) as error:
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
@click.option("--promote", metavar="ENVIRONMENT", help="The image that this environment runs, copied.")
@click.option("--dry-run", is_flag=True, help="Show the change sets and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outputs as one JSON object.")
def deploy(
    environment: str,
    environments: Path,
    templates: Path,
    image_name: str | None,
    promote: str | None,
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Create or update ENVIRONMENT, as `deploy/environments/ENVIRONMENT.toml` says.

    Each stack's change set is shown and confirmed before it is carried out. Workers are updated after the database has
    been migrated, and the Lambda after the workers. Whatever fails, running it again goes on from there: CloudFormation
    rolls back what it had begun.

    \b
    Examples:
      deploy/deploy dev
      deploy/deploy prod --dry-run
      deploy/deploy prod --promote dev
      deploy/deploy prod --yes --json > outputs.json
    """
    target = open_target(environment, environments, templates)
    if image_name is not None and promote is not None:
        raise Refused("--image and --promote exclude each other")
    account = target.client("sts").get_caller_identity()["Account"]
    click.echo(f"{target.environment.name}: account {account}, {target.environment.region}", err=True)
    check_parameters(target)
    source = promoted(target, environments, promote) if promote is not None else None
    tag = image.current_tag() if image_name is None and source is None and not dry_run else ""
    target.values["S3PrefixListId"] = s3_prefix_list(target)
    target.values |= target.environment.parameters
    outputs: dict[str, str] = {}
    for name in deployment_order(target):
        if name == "rotation" and target.values.get("DatabaseLogin") == "iam":
            stop_rotation(target, yes=yes, dry_run=dry_run)
            continue
        if not deploy_stack(target, name, outputs, yes=yes, dry_run=dry_run):
            break
        if name == "artifacts" and not dry_run:
            make_cluster_role(target)
            target.values |= upload_lambda(target) | named(image_name or upload_image(target, source, tag))
        elif name == "artifacts":
            target.values |= {"LambdaKey": lambda_zip.build().key}
            target.values |= named(image_name or (source[1] if source else outputs["ImageRepositoryUri"]))
        elif name == "database" and not dry_run:
            keep_database_logs(target)
        elif name == "tasks" and not dry_run:
            prepare_database(target)
    show(outputs, as_json=as_json)


@cli.command
@environment_options
@click.option("--with-data", is_flag=True, help="The database, the queues and the user pool too. Cannot be undone.")
def destroy(environment: str, environments: Path, templates: Path, *, yes: bool, with_data: bool) -> None:
    """Remove what runs in ENVIRONMENT; keep the data unless told otherwise.

    Without --with-data the workers, the alarms and the schedule go. The user pool, its Lambda, the queues and the
    database stay: people can still sign up, and the events wait in the queue for up to 10 days. With --with-data those
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


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("environment")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option("--environments", type=click.Path(path_type=Path), default=ENVIRONMENTS, help="Folder of *.toml.")
@click.pass_context
def reconcile(context: click.Context, environment: str, options: tuple[str, ...], environments: Path) -> None:
    """Reconcile ENVIRONMENT now: find users who are in the pool and not in the table, and enqueue them.

    It runs in the cluster, where the database can be reached, as the schedule runs it. Its log is shown here, and the
    exit status is its own. OPTIONS are those of signup-sync reconcile: --dry-run, --since WHEN, --deleted.

    \b
    Examples:
      deploy/reconcile prod --dry-run
      deploy/reconcile prod --since 7d
    """
    read = Environment.read(environment, environments)
    session = boto3.Session(region_name=read.region)
    clients = reconciliation.Clients(*(session.client(name) for name in ("scheduler", "ecs", "logs")))
    try:
        context.exit(reconciliation.run(clients, read.name, list(options), click.echo))
    except KeyboardInterrupt:
        raise Refused("interrupted; the task goes on, and its log with it") from None


@cli.command("attach-trigger")
@click.argument("pool_id")
@click.argument("function_arn", metavar="LAMBDA_ARN")
@click.option("--dry-run", is_flag=True, help="Show the difference and change nothing.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
def attach_trigger(pool_id: str, function_arn: str, *, dry_run: bool, yes: bool) -> None:
    """Set the PostConfirmation trigger of a user pool that is there already, and nothing else of it.

    The pool is read, shown with the difference, written back whole, and read again to see that nothing else changed. A
    pool that calls another function already is refused. LAMBDA_ARN is the output TriggerArn of the deployment.

    \b
    Examples:
      deploy/attach-trigger eu-west-1_aBcDeFgHi arn:aws:lambda:eu-west-1:123456789012:function:signup-sync-prod-trigger
      deploy/attach-trigger eu-west-1_aBcDeFgHi arn:... --dry-run
    """
    region, _, name = pool_id.partition("_")
    if not name or function_arn.split(":")[2:4] != ["lambda", region]:
        raise Refused(f"{pool_id} and {function_arn} are not a pool and a function of the same region")
    cognito = boto3.client("cognito-idp", region_name=region)
    proposal = Proposal.read(cognito, pool_id, function_arn)
    if proposal.now == proposal.then:
        click.echo("it is set already; nothing was changed")
        return
    click.echo("\n".join(proposal.difference()))
    if dry_run:
        return
    if not yes and not click.confirm("Carry this out?", err=True):
        raise Refused("nothing was changed")
    proposal.carry_out(cognito)
    click.echo("the trigger is set, and nothing else of the pool has changed")


def open_target(environment: str, environments: Path, templates: Path) -> Target:
    read = Environment.read(environment, environments)
    return Target(read, boto3.Session(region_name=read.region), templates, {"Environment": read.name})


def check_parameters(target: Target) -> None:
    """Refuse what no template has, which is misspelt, and what does not go together. Raises `InvalidEnvironment`."""
    left = target.environment.parameters.keys() - SCRIPT_PARAMETERS
    for name in (*DATA, *COMPUTE):
        left -= target.stack(name).declared()
    if left:
        raise InvalidEnvironment(f"{target.environment.name}.toml: no template has a parameter {min(left)}")
    try:
        choices.check(target.environment.parameters)
    except InvalidEnvironment as error:
        raise InvalidEnvironment(f"{target.environment.name}.toml: {error}") from None


def deployment_order(target: Target) -> tuple[str, ...]:
    """The stacks, in the order in which they are deployed.

    The worker comes before the Lambda, so that it knows whatever the Lambda sends. A user pool that is new comes before
    the worker, whose reconciliation names it: nothing sends from there yet.
    """
    sign_up = target.stack("sign-up")
    outputs = sign_up.outputs() if sign_up.status() is not None else {}
    pool = target.environment.parameters.get("ExistingUserPoolId", "")
    if "UserPoolId" not in outputs or sign_up.deployed_parameters().get("ExistingUserPoolId") != pool:
        return (*DATA, *COMPUTE)
    target.values |= outputs
    return (*DATA[:-1], "tasks", "service", "sign-up", *COMPUTE[2:])


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
    if stack.status() in NEVER_MADE and not clear_away(target, stack, yes=yes, dry_run=dry_run):
        return False
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


def clear_away(target: Target, stack: Stack, *, yes: bool, dry_run: bool) -> bool:
    """Delete what a failed creation has left of a stack, which has never held anybody's data. False: a dry run."""
    click.echo(f"{stack.name}: {stack.status()}, its creation failed: {stack.first_failure()}", err=True)
    if dry_run:
        click.echo("  a deployment deletes what is left of it and makes it anew; what follows depends on it", err=True)
        return False
    if not yes and not click.confirm("  Delete what is left of it, and make it anew?", err=True):
        raise Refused(f"stopped before {stack.name}; what was deployed until here stays")
    for database in stack.remaining("AWS::RDS::DBInstance"):
        target.client("rds").modify_db_instance(
            DBInstanceIdentifier=database, DeletionProtection=False, ApplyImmediately=True
        )
    for pool in stack.remaining("AWS::Cognito::UserPool"):
        target.client("cognito-idp").update_user_pool(UserPoolId=pool, DeletionProtection="INACTIVE")
    stack.delete()
    return True


def carry_out(stack: Stack, change_set: str, *, yes: bool) -> None:
    if not yes and not click.confirm("  Carry this out?", err=True):
        stack.discard(change_set)
        raise Refused(f"stopped before {stack.name}; what was deployed until here stays")
    try:
        stack.execute(change_set, lambda status: click.echo(f"  {status.lower()}", err=True))
    except KeyboardInterrupt:
        raise Refused(f"interrupted; CloudFormation goes on with {stack.name}") from None


def make_cluster_role(target: Target) -> None:
    """Make the role that ECS itself works with, long before an account's first cluster needs it.

    ECS would make it with the cluster, and fail because it cannot be assumed yet (Amazon ECS Developer Guide, "Using
    service-linked roles for Amazon ECS"; IAM User Guide, "Troubleshoot IAM", "Changes that I make are not always
    immediately visible").
    """
    iam = target.client("iam")
    if not iam.list_roles(PathPrefix="/aws-service-role/ecs.amazonaws.com/")["Roles"]:
        click.echo("  the service-linked role of ECS, which this account has not had", err=True)
        iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")


def promoted(target: Target, environments: Path, name: str) -> tuple[Any, str]:
    """A client of ECR for another environment's registry, and the image that runs there."""
    region = Environment.read(name, environments).region
    cloudformation = target.session.client("cloudformation", region_name=region)
    parameters = Stack(cloudformation, "tasks", name, target.templates).deployed_parameters()
    if "Image" not in parameters:
        raise Refused(f"{name} runs no image in this account; deploy it first, or give --image")
    return target.session.client("ecr", region_name=region), parameters["Image"]


def upload_lambda(target: Target) -> dict[str, str]:
    """Put the Lambda's zip where the templates find it; return the parameter that names it."""
    package = lambda_zip.build()
    bucket = target.values["ArtifactsBucket"]
    target.client("s3").put_object(Bucket=bucket, Key=package.key, Body=package.content)
    click.echo(f"  the Lambda: {len(package.content):,} bytes, {package.key}", err=True)
    return {"LambdaKey": package.key}


def upload_image(target: Target, source: tuple[Any, str] | None, tag: str) -> str:
    """Put the image into the environment's repository, from another one or from this clone; return its name."""
    ecr = target.client("ecr")
    repository, uri = target.values["ImageRepositoryName"], target.values["ImageRepositoryUri"]
    if source is not None:
        return image.copy(*source, ecr, repository, uri)
    image.fetch_authorities()
    return image.push(ecr, repository, uri, tag, target.values.get("CpuArchitecture", "X86_64"))


def named(image_name: str) -> dict[str, str]:
    """The parameters for an image, and for the repository that the tasks may then pull from."""
    arn = image.repository_arn(image_name)
    return {"Image": image_name} | ({"ImageRepositoryArn": arn} if arn is not None else {})


def keep_database_logs(target: Target) -> None:
    """Let the logs of the database end when all others do; those of a database that was there are not ours."""
    if not target.values.get("ExistingDatabaseAddress"):
        days = int(target.stack("network").deployed_parameters()["LogRetentionDays"])
        database_logs.keep(target.client("logs"), target.values["DatabaseId"], days)


def prepare_database(target: Target) -> None:
    """Migrate, and make the roles, before a worker or a reconciliation of this version runs."""
    for command in owner_commands(target.values):
        click.echo(f"  signup-sync {' '.join(command)}", err=True)
        owner_task.run(target.client("ecs"), target.values, command)


def owner_commands(values: Mapping[str, str]) -> list[list[str]]:
    """What the tables' owner does before a worker of this version runs."""
    iam = ["--iam"] if values.get("DatabaseLogin") == "iam" else []
    commands = [["db", "migrate"], ["db", "grant-worker", *iam]]
    if reader := values.get("ReaderRole"):
        commands.append(["db", "grant-reader", reader])
    if values.get("ReconcileChanges") == "true":
        commands.append(["db", "grant-reconciler", "--iam"])
    return commands


def stop_rotation(target: Target, *, yes: bool, dry_run: bool) -> None:
    """Remove the rotation of a password that is no longer used, if there is one."""
    stack = target.stack("rotation")
    if stack.status() is None:
        return
    click.echo("rotation: is removed, since the worker logs in by IAM", err=True)
    if dry_run:
        return
    if not yes and not click.confirm("  Carry this out?", err=True):
        raise Refused("stopped before rotation; what was deployed until here stays")
    stack.delete()


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
