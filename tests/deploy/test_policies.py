"""Who may do what: least privilege, as far as the templates tell."""

from typing import Any

import pytest

from deploy.environment import Environment
from tests.deploy.templates import names, read

SEND = "sqs:SendMessage"


def statements(policies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of a role's own policies, those behind a condition included."""
    plain = [policy["Fn::If"][1] if "Fn::If" in policy else policy for policy in policies]
    return [statement for policy in plain for statement in policy["PolicyDocument"]["Statement"]]


def actions(statement: dict[str, Any]) -> list[str]:
    action = statement["Action"]
    return [action] if isinstance(action, str) else action


def test_operators_send_to_the_queues_that_workers_read_and_not_to_the_dead_letters() -> None:
    policy = read("queues")["Resources"]["OperatorPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    sources = [{"Fn::GetAtt": [queue, "Arn"]} for queue in ("EventsQueue", "ActivitiesQueue")]
    assert [s["Resource"] for s in policy if SEND in actions(s)] == [sources]


@pytest.mark.parametrize("name", names())
def test_a_service_takes_on_a_role_for_this_account_alone(name: str) -> None:
    for key, resource in read(name)["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            (trust,) = resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            assert trust["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}, key


def test_the_reconciliation_lists_users_sends_events_and_logs_in_as_one_role_and_nothing_else() -> None:
    role = read("tasks")["Resources"]["ReconcileRole"]["Properties"]
    allowed = {action: s["Resource"] for s in statements(role["Policies"]) for action in actions(s)}

    assert allowed.keys() == {"cognito-idp:ListUsers", SEND, "rds-db:connect"}
    assert allowed[SEND] == {"Ref": "QueueArn"}
    assert allowed["cognito-idp:ListUsers"]["Fn::Sub"].endswith(":userpool/${UserPoolId}")
    assert allowed["rds-db:connect"]["Fn::Sub"].endswith(":dbuser:${DatabaseResourceId}/signup_sync_reconciler")
    # Either this role of the database or the worker's.
    condition, without, login = role["ManagedPolicyArns"]["Fn::If"]
    assert (without, login) == ({"Ref": "AWS::NoValue"}, [{"Ref": "DatabaseLoginPolicy"}])
    assert [p["Fn::If"][0] for p in role["Policies"] if "Fn::If" in p] == [condition] == ["WithChanges"]


def test_the_reconciliation_reads_profiles_only_where_it_is_wanted() -> None:
    for name in ("tasks", "database"):
        assert read(name)["Parameters"]["ReconcileChanges"]["Default"] == "false"
    for name in ("prod", "dev"):
        assert "ReconcileChanges" not in Environment.read(name).parameters


def test_the_pools_permission_is_this_accounts_and_this_pools() -> None:
    permission = read("sign-up")["Resources"]["TriggerPermission"]["Properties"]

    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert "SourceArn" in permission


def test_a_shell_in_a_worker_has_its_permissions_only_where_it_is_wanted_which_production_does_not() -> None:
    role = read("tasks")["Resources"]["WorkerRole"]["Properties"]["Policies"]
    always = [policy for policy in role if "Fn::If" not in policy]

    assert not [a for s in statements(always) for a in actions(s) if a.startswith("ssmmessages:")]
    assert read("service")["Resources"]["Service"]["Properties"]["EnableExecuteCommand"] == {"Ref": "ExecuteCommand"}
    for name in ("tasks", "service"):
        assert read(name)["Parameters"]["ExecuteCommand"]["Default"] == "false"
    assert Environment.read("prod").parameters.get("ExecuteCommand", "false") == "false"


def test_every_endpoint_lets_through_what_is_needed_by_identities_of_this_account() -> None:
    resources = read("network")["Resources"]
    endpoints = {key: r["Properties"] for key, r in resources.items() if r["Type"] == "AWS::EC2::VPCEndpoint"}

    for key, endpoint in endpoints.items():
        (statement,) = endpoint["PolicyDocument"]["Statement"]
        assert "*" not in actions(statement), key
        # S3 is asked with addresses that ECR has signed, by no identity of ours.
        if endpoint["VpcEndpointType"] == "Interface":
            account = {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}
            assert statement["Condition"] == {"StringEquals": account}, key
        else:
            assert "starport-layer-bucket" in statement["Resource"]["Fn::Sub"]


@pytest.mark.parametrize(
    ("endpoint", "template", "role", "service"),
    [
        ("EcrApiEndpoint", "tasks", "ExecutionRole", "ecr"),
        ("EcrDockerEndpoint", "tasks", "ExecutionRole", "ecr"),
        ("LogsEndpoint", "tasks", "ExecutionRole", "logs"),
        ("LogsEndpoint", "tasks", "WorkerRole", "logs"),
        ("SecretsManagerEndpoint", "tasks", "OwnerRole", "secretsmanager"),
        ("CognitoEndpoint", "tasks", "ReconcileRole", "cognito-idp"),
    ],
)
def test_an_endpoint_lets_through_all_that_a_tasks_role_may(
    endpoint: str, template: str, role: str, service: str
) -> None:
    (through,) = read("network")["Resources"][endpoint]["Properties"]["PolicyDocument"]["Statement"]
    wanted = {
        action
        for statement in statements(read(template)["Resources"][role]["Properties"]["Policies"])
        for action in actions(statement)
        if action.startswith(f"{service}:")
    }

    assert wanted
    assert wanted <= set(actions(through))
