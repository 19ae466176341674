"""The PostConfirmation trigger of a user pool that is there already.

UpdateUserPool sets what a call leaves out to its default (Amazon Cognito user pools API Reference, "UpdateUserPool"):
the whole pool is read, one thing changed, and everything written back. Which members that are comes from boto3's model
of the two calls, so that a member that AWS adds is not forgotten.
"""

import difflib
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Self

# Renamed on the way; all other members that both calls know have the same name and shape.
RENAMED = {"PoolName": "Name", "UserPoolId": "Id"}
RESERVED = "aws:"  # begins the keys of tags that only AWS sets (AWS General Reference, "Tagging AWS resources")
# These differ after each update, or by themselves.
CHANGES_BY_ITSELF = {"LastModifiedDate", "EstimatedNumberOfUsers"}


class TriggerNotAttached(Exception):
    """One line that says why the pool is as it was, or what else is different now, and what to do."""


@dataclass(frozen=True)
class Proposal:
    """The arguments of UpdateUserPool that leave a pool as it is, and those that set its trigger besides."""

    now: dict[str, Any]
    then: dict[str, Any]

    @classmethod
    def read(cls, cognito: Any, pool_id: str, function_arn: str) -> Self:
        """Raises `TriggerNotAttached` if the trigger is another function."""
        now = as_update(_describe(cognito, pool_id), _members(cognito))
        triggers = now.get("LambdaConfig", {})
        if triggers.get("PostConfirmation") not in (None, function_arn):
            taken = triggers["PostConfirmation"]
            raise TriggerNotAttached(f"{pool_id} calls {taken} already: call `enqueue` there (docs/existing-pool.md)")
        return cls(now, {**now, "LambdaConfig": {**triggers, "PostConfirmation": function_arn}})

    def difference(self) -> list[str]:
        return difference_of(self.now, self.then)

    def carry_out(self, cognito: Any) -> None:
        """Write the pool back, read it again, and compare.

        Raises `TriggerNotAttached` if the pool is another than it was, or anything else has changed by the update.
        """
        pool_id = self.now["UserPoolId"]
        before = _all_of(cognito, pool_id)
        if as_update(before, _members(cognito)) != self.now:
            raise TriggerNotAttached(f"{pool_id} has been changed meanwhile, and nothing was done: run it again")
        cognito.update_user_pool(**self.then)
        before["LambdaConfig"] = self.then["LambdaConfig"]
        after = _all_of(cognito, pool_id)
        if changed := [name for name in sorted(before | after) if before.get(name) != after.get(name)]:
            difference = "\n".join(difference_of(before, after))
            raise TriggerNotAttached(f"the trigger is set, but this changed, too: {', '.join(changed)}\n{difference}")


def as_update(pool: Mapping[str, Any], members: set[str]) -> dict[str, Any]:
    """A described pool as the arguments that leave it as it is, of the `members` that UpdateUserPool has."""
    update = {name: deepcopy(pool[RENAMED.get(name, name)]) for name in members if RENAMED.get(name, name) in pool}
    _leave_out_superseded(update)
    if tags := update.get("UserPoolTags"):
        update["UserPoolTags"] = {key: value for key, value in tags.items() if not key.startswith(RESERVED)}
    return update


def difference_of(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    """A unified difference of the two, member by member."""
    old, new = (json.dumps(each, indent=2, sort_keys=True, default=str).splitlines() for each in (now, then))
    return list(difflib.unified_diff(old, new, "now", "then", lineterm="", n=2))


def _leave_out_superseded(update: dict[str, Any]) -> None:
    """What DescribeUserPool answers and UpdateUserPool refuses, because another member says the same.

    - AdminCreateUserConfig.UnusedAccountValidityDays, where the password policy has TemporaryPasswordValidityDays (API
      Reference, PasswordPolicyType: "you can no longer set a value for the legacy UnusedAccountValidityDays").
    - The message for the other DefaultEmailOption than the pool's (API Reference, UpdateUserPool,
      VerificationMessageTemplate: "When you supply both parameters with either choice, Amazon Cognito returns an
      error").
    """
    if "TemporaryPasswordValidityDays" in update.get("Policies", {}).get("PasswordPolicy", {}):
        update.get("AdminCreateUserConfig", {}).pop("UnusedAccountValidityDays", None)
    template = update.get("VerificationMessageTemplate", {})
    other = "EmailMessage" if template.get("DefaultEmailOption") == "CONFIRM_WITH_LINK" else "EmailMessageByLink"
    if {"EmailMessage", "EmailMessageByLink"} <= template.keys():
        del template[other]


def _members(cognito: Any) -> set[str]:
    """All members of UpdateUserPool's input."""
    return set(cognito.meta.service_model.operation_model("UpdateUserPool").input_shape.members)


def _describe(cognito: Any, pool_id: str) -> dict[str, Any]:
    return dict(cognito.describe_user_pool(UserPoolId=pool_id)["UserPool"])


def _all_of(cognito: Any, pool_id: str) -> dict[str, Any]:
    """The pool, and its second factors, of which UpdateUserPool has a part."""
    pool = {name: value for name, value in _describe(cognito, pool_id).items() if name not in CHANGES_BY_ITSELF}
    # What is left of it is TemporaryPasswordValidityDays again.
    pool.get("AdminCreateUserConfig", {}).pop("UnusedAccountValidityDays", None)
    factors = cognito.get_user_pool_mfa_config(UserPoolId=pool_id)
    return {**pool, "MfaConfig": {name: value for name, value in factors.items() if name != "ResponseMetadata"}}
