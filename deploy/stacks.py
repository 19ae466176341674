"""The stacks of an environment: change sets, outputs and deletion.

The templates are in `deploy/stacks`. An output of one stack becomes the parameter of the same name of those after it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, WaiterError

FOLDER = Path(__file__).parent / "stacks"

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
POLLING_INTERVAL = 3  # seconds
MAX_WAIT = 3600  # seconds: a Multi-AZ database takes a quarter of an hour

# Its creation has failed: such a stack can only be deleted (CloudFormation User Guide, "Stack status codes"). In
# ROLLBACK_FAILED some of it is left, for one a database that is protected.
NEVER_MADE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED")

# What cannot be changed as it is, and what to do (CloudFormation User Guide, "Stack status codes" and "Continue rolling
# back an update").
_STUCK = {
    "UPDATE_ROLLBACK_FAILED": "mend the cause, then: aws cloudformation continue-update-rollback --stack-name {name}",
    "DELETE_FAILED": "mend the cause, then: aws cloudformation delete-stack --stack-name {name}",
}

# What a change set that changes nothing gives as its reason (CloudFormation has no code for it).
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


class StackFailed(Exception):
    """One line: which stack, which resource, and why."""


@dataclass(frozen=True)
class Change:
    """What a change set will do to a resource: `replaces` says that it is made anew and the old one is deleted."""

    action: str
    logical_id: str
    resource_type: str
    replaces: bool


class Stack:
    """One stack of an environment."""

    def __init__(self, cloudformation: Any, name: str, environment: str, folder: Path = FOLDER) -> None:
        self.name = name
        self.full_name = f"signup-sync-{environment}-{name}"
        self._template = (folder / f"{name}.yaml").read_text(encoding="utf-8")
        self._cloudformation = cloudformation

    def parameters(self, values: Mapping[str, str]) -> dict[str, str]:
        """Those of the values that the template has a parameter for. Raises `StackFailed` if one is missing."""
        declared = self._declared()
        missing = [p["ParameterKey"] for p in declared if "DefaultValue" not in p and p["ParameterKey"] not in values]
        if missing:
            raise StackFailed(f"{self.name}: no value for {', '.join(missing)}")
        return {p["ParameterKey"]: values[p["ParameterKey"]] for p in declared if p["ParameterKey"] in values}

    def declared(self) -> set[str]:
        """The names of the template's parameters."""
        return {parameter["ParameterKey"] for parameter in self._declared()}

    def status(self) -> str | None:
        """CloudFormation's word for its state, or None if it is not there."""
        try:
            stack = self._cloudformation.describe_stacks(StackName=self.full_name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return str(stack["StackStatus"])

    def outputs(self) -> dict[str, str]:
        stack = self._cloudformation.describe_stacks(StackName=self.full_name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def deployed_parameters(self) -> dict[str, str]:
        """The values that it was deployed with; none if it is not there."""
        if self.status() is None:
            return {}
        stack = self._cloudformation.describe_stacks(StackName=self.full_name)["Stacks"][0]
        return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack.get("Parameters", [])}

    def remaining(self, resource_type: str) -> list[str]:
        """The names of what it has of this type, also after a creation that was rolled back."""
        answer = self._cloudformation.list_stack_resources(StackName=self.full_name)
        return [
            resource["PhysicalResourceId"]
            for resource in answer["StackResourceSummaries"]
            if resource["ResourceType"] == resource_type
            and resource["ResourceStatus"] != "DELETE_COMPLETE"
            and resource.get("PhysicalResourceId")
        ]

    def first_failure(self) -> str:
        """The first resource that failed, and CloudFormation's reason."""
        return self._first_failure(None)

    def propose(self, values: Mapping[str, str], tags: Mapping[str, str]) -> tuple[str, list[Change]]:
        """Make a change set; return its ARN and what it would do, which may be nothing. Raises `StackFailed`."""
        status = self.status()
        if status in _STUCK:
            what = _STUCK[status].format(name=self.full_name)
            raise StackFailed(f"{self.name}: {status}: {self.first_failure()}; {what}")
        parameters = self.parameters(values)
        change_set: str = self._cloudformation.create_change_set(
            StackName=self.full_name,
            ChangeSetName=f"deploy-{time.time_ns()}",
            ChangeSetType="CREATE" if status in (None, "REVIEW_IN_PROGRESS") else "UPDATE",
            TemplateBody=self._template,
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=CAPABILITIES,
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )["Id"]
        return change_set, self._changes(change_set)

    def discard(self, change_set: str) -> None:
        """Remove a change set, and the empty stack that it was to create."""
        self._cloudformation.delete_change_set(ChangeSetName=change_set)
        if self.status() == "REVIEW_IN_PROGRESS":
            self._cloudformation.delete_stack(StackName=self.full_name)

    def execute(self, change_set: str, report: Callable[[str], None]) -> None:
        """Carry a change set out and wait for the end. Raises `StackFailed` with the first resource that failed."""
        began = self._last_event()
        self._cloudformation.execute_change_set(ChangeSetName=change_set)
        status = self._wait(report)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            again = "; run it again: what is left is deleted, and made anew" if status in NEVER_MADE else ""
            raise StackFailed(f"{self.name}: {status}: {self._first_failure(began)}{again}")

    def protect(self, *, on: bool) -> None:
        """Whether CloudFormation refuses to delete it."""
        self._cloudformation.update_termination_protection(StackName=self.full_name, EnableTerminationProtection=on)

    def set_parameter(self, name: str, value: str) -> None:
        """Change one parameter, if the template has it, and leave everything else as it is. Raises `StackFailed`."""
        current = self.deployed_parameters()
        if current.get(name, value) == value:
            return
        try:
            self._cloudformation.update_stack(
                StackName=self.full_name,
                UsePreviousTemplate=True,
                Parameters=[
                    {"ParameterKey": key, "ParameterValue": value}
                    if key == name
                    else {"ParameterKey": key, "UsePreviousValue": True}
                    for key in current
                ],
                Capabilities=CAPABILITIES,
            )
        except ClientError as error:
            if any(text in str(error) for text in _NO_CHANGES):  # what the parameter is about was never made
                return
            raise
        status = self._wait(lambda _: None)
        if status != "UPDATE_COMPLETE":
            raise StackFailed(f"{self.name}: {status}: {self._first_failure(None)}")

    def delete(self) -> None:
        """Delete it, if it is there, and wait until it is gone. Raises `StackFailed`."""
        if self.status() is None:
            return
        self._cloudformation.delete_stack(StackName=self.full_name)
        waiter = self._cloudformation.get_waiter("stack_delete_complete")
        config = {"Delay": POLLING_INTERVAL, "MaxAttempts": MAX_WAIT // POLLING_INTERVAL}
        try:
            waiter.wait(StackName=self.full_name, WaiterConfig=config)
        except WaiterError:
            raise StackFailed(f"{self.name}: not deleted: {self._first_failure(None)}") from None

    def _declared(self) -> list[dict[str, Any]]:
        return list(self._cloudformation.get_template_summary(TemplateBody=self._template).get("Parameters", []))

    def _changes(self, change_set: str) -> list[Change]:
        while (answer := self._cloudformation.describe_change_set(ChangeSetName=change_set))["Status"] in (
            "CREATE_PENDING",
            "CREATE_IN_PROGRESS",
        ):
            time.sleep(1)
        if answer["Status"] == "FAILED":
            reason = answer.get("StatusReason", "no reason given")
            if not any(text in reason for text in _NO_CHANGES):
                raise StackFailed(f"{self.name}: {reason}")
            return []
        changes = list(answer["Changes"])
        while token := answer.get("NextToken"):
            answer = self._cloudformation.describe_change_set(ChangeSetName=change_set, NextToken=token)
            changes += answer["Changes"]
        return [_change(change["ResourceChange"]) for change in changes]

    def _wait(self, report: Callable[[str], None]) -> str:
        deadline = time.monotonic() + MAX_WAIT
        while time.monotonic() < deadline:
            status = self.status() or "gone"
            if not status.endswith("_IN_PROGRESS"):
                return status
            report(status)
            time.sleep(POLLING_INTERVAL)
        raise StackFailed(f"{self.name}: not ready after {MAX_WAIT // 60} minutes; CloudFormation goes on")

    def _events(self) -> list[dict[str, Any]]:
        answer = self._cloudformation.describe_stack_events(StackName=self.full_name)
        return list(answer["StackEvents"])  # newest first

    def _last_event(self) -> str | None:
        events = self._events() if self.status() else []
        return events[0]["EventId"] if events else None

    def _first_failure(self, after: str | None) -> str:
        failures = []
        for event in self._events():
            if event["EventId"] == after:
                break
            if event["ResourceStatus"].endswith("_FAILED"):
                failures.append(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}")
        return failures[-1] if failures else "see its events"


def _change(change: dict[str, Any]) -> Change:
    replaces = change.get("Replacement") in ("True", "Conditional")
    return Change(change["Action"], change["LogicalResourceId"], change["ResourceType"], replaces)
