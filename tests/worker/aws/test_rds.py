"""`signup-sync rds`, against moto's RDS and EC2."""

import http.server
import json
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from ipaddress import ip_address
from typing import Any

import boto3
import pytest

from tests.support import command
from tests.support.invoke import invoke
from tests.support.ports import free_port
from tests.support.sqs import REGION, SqsServer, aws_environment
from worker.aws.public_address import AddressUnknown, public_address

Done = subprocess.CompletedProcess[str]
Rule = tuple[str, str, int]  # address range, description, port

HOME, CAFE = "203.0.113.7", "198.51.100.8"


class Account:
    """An instance behind a security group, and the commands of somebody who looks after it."""

    def __init__(self, endpoint_url: str, rds: Any, ec2: Any, *, public: bool = True, groups: int = 1) -> None:
        self.rds, self.ec2 = rds, ec2
        self.id = f"dev-{uuid.uuid4().hex[:8]}"
        self.groups = [
            ec2.create_security_group(GroupName=f"{self.id}-{number}", Description="of a test")["GroupId"]
            for number in range(groups)
        ]
        rds.create_db_instance(
            DBInstanceIdentifier=self.id,
            DBInstanceClass="db.t4g.micro",
            Engine="postgres",
            AllocatedStorage=20,
            Port=6432,
            MasterUsername="owner",
            MasterUserPassword="correct-horse",
            PubliclyAccessible=public,
            VpcSecurityGroupIds=self.groups,
        )
        endpoints = {f"AWS_ENDPOINT_URL_{service}": endpoint_url for service in ("RDS", "EC2")}
        settings = {**aws_environment(endpoint_url), **endpoints, "DATABASE_INSTANCE_ID": self.id}
        self.environment = command.command_environment(settings)

    def close(self) -> None:
        self.rds.delete_db_instance(DBInstanceIdentifier=self.id, SkipFinalSnapshot=True)
        for group in self.groups:
            self.ec2.delete_security_group(GroupId=group)

    def run(self, *args: str, stdin: str = "", **settings: str) -> Done:
        environment = command.command_environment({**self.environment, **settings})
        return invoke("rds", *args, environment=environment, stdin=stdin)

    def works(self, *args: str, stdin: str = "", **settings: str) -> str:
        """What it prints."""
        done = self.run(*args, stdin=stdin, **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refusal(self, *args: str, stdin: str = "", **settings: str) -> str:
        done = self.run(*args, stdin=stdin, **settings)
        assert (done.returncode, done.stdout) == (2, "")
        return done.stderr.splitlines()[-1].rpartition("signup-sync: ")[2]

    @property
    def status(self) -> str:
        instance = self.rds.describe_db_instances(DBInstanceIdentifier=self.id)["DBInstances"][0]
        return str(instance["DBInstanceStatus"])

    def open_to(self, *rules: Rule) -> None:
        """Add rules, as others have made them."""
        for cidr, description, port in rules:
            family, key = ("Ipv6Ranges", "CidrIpv6") if ":" in cidr else ("IpRanges", "CidrIp")
            ranges = {family: [{key: cidr, "Description": description}]}
            permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **ranges}
            self.ec2.authorize_security_group_ingress(GroupId=self.groups[0], IpPermissions=[permission])

    def rules(self, group: int = 0) -> set[Rule]:
        filters = [{"Name": "group-id", "Values": [self.groups[group]]}]
        rules = self.ec2.describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
        return {
            (rule.get("CidrIpv4") or rule["CidrIpv6"], rule.get("Description", ""), rule["FromPort"])
            for rule in rules
            if not rule["IsEgress"]
        }


@pytest.fixture
def new_account(sqs_server: SqsServer) -> Iterator[Callable[..., Account]]:
    with ExitStack() as stack:

        def client(service: str) -> Any:
            new = boto3.client(  # type: ignore[call-overload] # the stubs of these services are not installed
                service,
                endpoint_url=sqs_server.endpoint_url,
                region_name=REGION,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
            )
            return stack.enter_context(closing(new))

        def create(**options: Any) -> Account:
            account = Account(sqs_server.endpoint_url, client("rds"), client("ec2"), **options)
            return stack.enter_context(closing(account))

        yield create


@pytest.fixture
def account(new_account: Callable[..., Account]) -> Account:
    return new_account()


def test_the_instance_is_stopped_and_started(account: Account) -> None:
    stopped = account.works("stop", stdin="y\n")
    assert stopped == f"stopping {account.id}; AWS starts it again by itself after 7 days\n"
    assert account.status == "stopped"
    assert account.works("stop", "--yes") == f"{account.id} is stopped already\n"

    assert account.works("start") == f"starting {account.id}; signup-sync rds status says when it is available\n"
    assert account.status == "available"
    assert account.works("start") == f"{account.id} is available already\n"


def test_stopping_asks_first(account: Account) -> None:
    assert account.refusal("stop", stdin="n\n") == f"{account.id} was not stopped"
    assert account.status == "available"


def test_production_is_stopped_by_who_types_the_instances_name(account: Account) -> None:
    settings = {"DATABASE_INSTANCE_ID": "", "PROD_DATABASE_INSTANCE_ID": account.id}

    assert account.refusal("stop", "--env", "prod", "--yes", stdin="y\n", **settings) == f"{account.id} was not stopped"
    assert account.status == "available"

    account.works("stop", "--env", "prod", stdin=f"{account.id}\n", **settings)
    assert account.status == "stopped"


def test_the_status_is_shown_to_people_and_to_programs(account: Account) -> None:
    shown = dict(line.split(maxsplit=1) for line in account.works("status").replace("y g", "y-g").splitlines())
    record = json.loads(account.works("status", "--json"))

    assert (shown["status"], shown["class"], shown["port"]) == ("available", "db.t4g.micro", "6432")
    assert shown["security-groups"] == account.groups[0]
    assert record["address"].startswith(account.id)
    assert {name: record[name] for name in ("id", "status", "class", "port", "public", "restarts_at")} == {
        "id": account.id,
        "status": "available",
        "class": "db.t4g.micro",
        "port": 6432,
        "public": True,
        "restarts_at": None,
    }


def test_an_address_is_let_in_to_the_databases_port(account: Account) -> None:
    done = account.run("allow-my-ip", "--name", "ada", "--ip", HOME)

    assert done.stdout.startswith(f"{HOME} may connect to {account.id}.")
    assert done.stderr == ""
    assert account.rules() == {(f"{HOME}/32", "signup-sync: ada", 6432)}


def test_a_new_address_replaces_the_old_one_and_touches_no_other_rule(account: Account) -> None:
    others = {
        ("203.0.113.9/32", "signup-sync: bob", 6432),
        ("203.0.113.10/32", "signup-sync: ada2", 6432),
        ("10.0.0.0/8", "", 6432),
        (f"{CAFE}/32", "ssh", 22),
        ("2001:db8::/64", "office", 6432),
    }
    account.open_to(*others)
    account.works("allow-my-ip", "--name", "ada", "--ip", HOME)

    account.works("allow-my-ip", "--name", "ada", "--ip", CAFE)

    assert account.rules() == {*others, (f"{CAFE}/32", "signup-sync: ada", 6432)}


def test_an_address_may_be_of_either_kind(account: Account) -> None:
    account.works("allow-my-ip", "--name", "ada", "--ip", HOME)
    account.works("allow-my-ip", "--name", "ada", "--ip", "2001:DB8:0::7")
    assert account.rules() == {("2001:db8::7/128", "signup-sync: ada", 6432)}

    account.works("allow-my-ip", "--name", "ada", "--ip", HOME)
    assert account.rules() == {(f"{HOME}/32", "signup-sync: ada", 6432)}


def test_the_same_address_again_changes_nothing(account: Account) -> None:
    first, second = (account.works("allow-my-ip", "--name", "ada", "--ip", HOME) for _ in range(2))

    assert first == second
    assert account.rules() == {(f"{HOME}/32", "signup-sync: ada", 6432)}


def test_what_a_run_that_was_cut_off_left_is_removed(account: Account) -> None:
    account.open_to((f"{HOME}/32", "signup-sync: ada", 6432), (f"{CAFE}/32", "signup-sync: ada", 6432))

    account.works("allow-my-ip", "--name", "ada", "--ip", CAFE)

    assert account.rules() == {(f"{CAFE}/32", "signup-sync: ada", 6432)}


def test_an_address_that_anothers_rule_lets_in_needs_no_rule(account: Account) -> None:
    account.open_to((f"{CAFE}/32", "signup-sync: bob", 6432))
    account.works("allow-my-ip", "--name", "ada", "--ip", HOME)

    told = account.works("allow-my-ip", "--name", "ada", "--ip", CAFE)

    assert told.startswith(f"{CAFE} was let in already, by the rule sgr-")
    assert told.endswith(" (signup-sync: bob)\n")
    assert account.rules() == {(f"{CAFE}/32", "signup-sync: bob", 6432)}


def test_ones_own_rule_is_removed_and_no_other(account: Account) -> None:
    others = {(f"{CAFE}/32", "signup-sync: bob", 6432), ("10.0.0.0/8", "", 6432)}
    account.open_to(*others)
    account.works("allow-my-ip", "--name", "ada", "--ip", HOME)

    assert account.works("revoke-my-ip", "--name", "ada") == f"{HOME}/32 may no longer connect\n"
    assert account.rules() == others
    assert account.works("revoke-my-ip", "--name", "ada") == "there is no rule 'signup-sync: ada'\n"


def test_of_several_security_groups_one_has_to_be_named(new_account: Callable[..., Account]) -> None:
    account = new_account(groups=2)
    args = ("allow-my-ip", "--name", "ada", "--ip", HOME)

    told = account.refusal(*args)
    assert told.startswith(f"set DATABASE_SECURITY_GROUP_ID: {account.id} has the security groups sg-")

    account.works(*args, DATABASE_SECURITY_GROUP_ID=account.groups[1])
    assert account.rules(0) == set()
    assert account.rules(1) == {(f"{HOME}/32", "signup-sync: ada", 6432)}


def test_an_instance_that_cannot_be_reached_from_outside_is_said_to_be_so(new_account: Callable[..., Account]) -> None:
    account = new_account(public=False)

    done = account.run("allow-my-ip", "--name", "ada", "--ip", HOME)

    assert (done.returncode, done.stderr) == (
        0,
        f"{account.id} has no public address: it can be reached through its VPC only\n",
    )


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--ip", "home"], "'home' is not an address such as 203.0.113.7 or 2001:db8::7"),
        (["--ip", "10.0.0.0/8"], "'10.0.0.0/8' is not an address such as 203.0.113.7 or 2001:db8::7"),
        (["--name", "ada; x", "--ip", HOME], "should be letters, digits and . _ @ + - only, 64 at most"),
    ],
)
def test_what_is_no_address_or_no_name_is_refused(account: Account, args: list[str], told: str) -> None:
    done = account.run("allow-my-ip", *args)

    assert done.returncode == 2
    assert told in done.stderr.splitlines()[-1]
    assert account.rules() == set()


def test_an_instance_that_is_not_there_is_one_line(account: Account) -> None:
    assert account.refusal("start", DATABASE_INSTANCE_ID="nobody") == (
        "DescribeDBInstances: DBInstanceNotFound: DBInstance nobody not found. "
        "(are the instance's identifier and AWS_REGION right?)"
    )
    assert account.refusal("start", DATABASE_INSTANCE_ID="") == "DATABASE_INSTANCE_ID is not set"
    assert account.refusal("status", "--env", "prod") == "PROD_DATABASE_INSTANCE_ID is not set"


def test_an_endpoint_where_nobody_is_is_one_line(account: Account) -> None:
    told = account.refusal("status", AWS_ENDPOINT_URL_RDS=f"http://127.0.0.1:{free_port()}")

    assert told.startswith("DescribeDBInstances: ")
    assert told.endswith("is the endpoint right (AWS_REGION, AWS_ENDPOINT_URL_RDS)?")


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[str]:
    """A service that says this to everybody; gives its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("address", [HOME, "2001:db8::7"])
def test_ones_address_is_what_the_service_says(address: str) -> None:
    with answering(f"{address}\n".encode()) as url:
        assert public_address(url) == ip_address(address)


@pytest.mark.parametrize("body", [b"", b"<html>sign in to this network</html>", b"\xff", b"1" * 10_000])
def test_what_is_no_address_is_no_answer(body: bytes) -> None:
    with answering(body) as url, pytest.raises(AddressUnknown, match=r"did not answer with an address$"):
        public_address(url)


def test_a_service_that_is_away_is_named_in_one_line() -> None:
    with answering(b"", 503) as url, pytest.raises(AddressUnknown, match=r"did not answer: Service Unavailable$"):
        public_address(url)
    with pytest.raises(AddressUnknown, match=r"^http://127\.0\.0\.1:\d+ did not answer: .*refused$"):
        public_address(f"http://127.0.0.1:{free_port()}")
