import json
import signal
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from botocore.stub import Stubber
from hypothesis import example, given
from hypothesis import strategies as st

from db.pool import connect
from signup_sync.events import UserSignedUp, parse_event
from tests.support import tables
from tests.support.command import command_environment, start
from tests.support.fault_proxy import FaultProxy
from tests.support.invoke import invoke, invoke_on_terminal
from tests.support.ports import free_port
from tests.support.sqs import Queues
from tests.support.texts import ADDRESSES, REAL_NAMES, UNSEEN, UNWANTED
from tests.support.user_pool import LIST_USERS, AdministratedPool, cognito_client, cognito_environment
from tests.support.wait import wait_until
from tests.support.worker_process import WorkerProcess
from trigger_lambda import handler
from worker.aws.cognito import PoolUser, UserPool
from worker.reconciliation.external_sort import SortedIds, difference
from worker.reconciliation.outbox import Outbox
from worker.reconciliation.public_profile import profile
from worker.reconciliation.reconciliation import OrphanSearch, Reconciliation

NOBODY = {"in_pool": 0, "present": 0, "missing": 0, "enqueued": 0, "failed": 0, "complete": True}


def through(proxy: FaultProxy) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL_SQS": proxy.endpoint_url, **cognito_environment(proxy.endpoint_url)}


def events(queues: Queues) -> list[UserSignedUp]:
    received = []
    while messages := queues.client.receive_message(QueueUrl=queues.events_url, MaxNumberOfMessages=10).get("Messages"):
        received += [parse_event(message["Body"]) for message in messages]
    return [event for event in received if isinstance(event, UserSignedUp)]


def insert(database_url: str, *subs: str) -> None:
    with psycopg.connect(database_url) as connection:
        for sub in subs:
            connection.execute(
                "INSERT INTO users (cognito_user_id, display_name, handle) VALUES (%s, 'x', md5(%s))", (sub, sub)
            )


def lines(output: str) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """The users of a `--json` output by outcome, and the summary."""
    *users, last = map(json.loads, output.splitlines())
    by_outcome: dict[str, list[str]] = {}
    for user in users:
        by_outcome.setdefault(user["outcome"], []).append(user["cognito_user_id"])
    return by_outcome, last["summary"]


class TestWhoIsMissing:
    def test_is_enqueued_written_by_the_worker_and_then_present(
        self,
        pool: AdministratedPool,
        queues: Queues,
        database_url: str,
        environment: dict[str, str],
        drain: Callable[..., WorkerProcess],
    ) -> None:
        subs = [pool.invite(f"user{number}") for number in range(65)]  # more than a page
        insert(database_url, *subs[:20])
        before = datetime.now(UTC)

        result = invoke("reconcile", "--user-pool-id", pool.id, "--json", environment=environment)

        assert (result.returncode, result.stderr) == (0, "")
        by_outcome, summary = lines(result.stdout)
        assert by_outcome == {"enqueued": subs[20:]}
        counts = {"in_pool": 65, "present": 20, "missing": 45, "enqueued": 45}
        assert summary == {**NOBODY, **counts, "skipped": {}, "orphans": None}
        drain()
        assert tables.names(database_url) == set(subs)
        created = {str(row[0]): row[4] for row in tables.users(database_url)}
        assert all(isinstance(at, datetime) and at < before for at in (created[sub] for sub in subs[20:]))

        again = invoke("reconcile", "--user-pool-id", pool.id, "--json", environment=environment)

        assert again.returncode == 0
        assert lines(again.stdout) == ({}, {**NOBODY, "in_pool": 65, "present": 65, "skipped": {}, "orphans": None})
        assert queues.counts() == (0, 0, 0)

    def test_has_the_names_and_the_time_that_cognito_knows(
        self, pool: AdministratedPool, queues: Queues, environment: dict[str, str]
    ) -> None:
        sub = pool.confirm("ada", name="Ada Lovelace", email="ada@example.org")
        nameless = pool.confirm("bob@example.org")
        created = pool.cognito.admin_get_user(UserPoolId=pool.id, Username="ada")["UserCreateDate"]

        result = invoke("reconcile", "--user-pool-id", pool.id, environment=environment)

        assert result.returncode == 0, result.stderr
        ada, bob = events(queues)
        assert (ada.id, ada.source, ada.time) == (sub, f"/cognito/{pool.id}", created)
        assert (ada.data.handle, ada.data.display_name, ada.data.email) == ("ada", "Ada Lovelace", "ada@example.org")
        assert (bob.data.handle, bob.data.display_name) == (f"user-{nameless[:8]}", f"user-{nameless[:8]}")
        assert ada.data.attributes == bob.data.attributes == {}

    def test_has_the_attributes_that_go_along(
        self, pool: AdministratedPool, queues: Queues, environment: dict[str, str]
    ) -> None:
        pool.confirm("ada", name="Ada Lovelace", locale="en")
        environment["USER_ATTRIBUTES"] = "locale,custom:tenant_id"

        result = invoke("reconcile", "--user-pool-id", pool.id, environment=environment)

        assert result.returncode == 0, result.stderr
        (ada,) = events(queues)
        assert ada.data.attributes == {"locale": "en"}

    def test_is_only_listed_by_a_dry_run_which_needs_no_queue(
        self, pool: AdministratedPool, queues: Queues, environment: dict[str, str]
    ) -> None:
        sub = pool.confirm("ada")
        del environment["QUEUE_URL"]

        result = invoke("reconcile", "--user-pool-id", pool.id, "--dry-run", environment=environment)

        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines()[0] == f"would enqueue {sub}"
        assert queues.counts() == (0, 0, 0)

    def test_is_counted_in_a_summary_for_people(self, pool: AdministratedPool, environment: dict[str, str]) -> None:
        pool.confirm("ada")
        pool.sign_up("bob")
        pool.confirm("eve")
        pool.disable("eve")

        result = invoke("reconcile", "--user-pool-id", pool.id, environment=environment)

        assert [line.split(maxsplit=1) for line in result.stdout.splitlines()[1:]] == [
            ["in", "the pool:  3"],
            ["present:", "0"],
            ["missing:", "1"],
            ["enqueued:", "1"],
            ["not", "enqueued: 0"],
            ["skipped:", "2 (disabled 1, unconfirmed 1)"],
            ["orphans:", "not looked for"],
        ]

    def test_was_invited_imported_or_confirmed_and_not_disabled_or_unconfirmed(
        self, pool: AdministratedPool, queues: Queues, environment: dict[str, str]
    ) -> None:
        missing = {pool.invite("invited"), pool.require_reset("imported"), pool.confirm("confirmed")}
        pool.sign_up("unconfirmed")
        pool.confirm("banned")
        pool.disable("banned")

        result = invoke("reconcile", "--user-pool-id", pool.id, "--json", environment=environment)

        by_outcome, summary = lines(result.stdout)
        assert set(by_outcome["enqueued"]) == {event.id for event in events(queues)} == missing
        assert summary["skipped"] == {"unconfirmed": 1, "disabled": 1}

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [("EXTERNAL_PROVIDER", "would_enqueue"), ("ARCHIVED", "archived"), ("COMPROMISED", "compromised")],
    )
    def test_may_have_a_status_that_only_cognito_has(self, status: str, outcome: str, database_url: str) -> None:
        now = datetime(2026, 1, 31, tzinfo=UTC)
        user: dict[str, Any] = {
            "Username": "Google_1",
            "Attributes": [{"Name": "sub", "Value": "5f0c"}],
            "UserCreateDate": now,
            "UserLastModifiedDate": now,
            "Enabled": True,
            "UserStatus": status,
        }
        with closing(cognito_client("http://127.0.0.1:1")) as client, Stubber(client) as stub:
            parameters: dict[str, Any] = {"UserPoolId": "eu-west-1_x", "Limit": 60}
            # A page may be empty and not the last (Amazon Cognito user pools API Reference, ListUsers, "Filter").
            stub.add_response("list_users", {"Users": [], "PaginationToken": "next"}, parameters)
            stub.add_response("list_users", {"Users": [user]}, {**parameters, "PaginationToken": "next"})
            with closing(connect(database_url)) as connection:
                reconciliation = Reconciliation(UserPool("eu-west-1_x", client), connection, Outbox(None), ())
                missing = [each.outcome for _, page in reconciliation.run() for each in page]

        assert missing + list(reconciliation.summary.skipped) == [outcome]
        assert reconciliation.summary.in_pool == 1

    def test_since_leaves_out_who_has_not_changed(
        self, pool: AdministratedPool, queues: Queues, environment: dict[str, str]
    ) -> None:
        pool.confirm("ada")
        past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        future = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

        later = invoke("reconcile", "--user-pool-id", pool.id, "--since", future, "--json", environment=environment)
        earlier = invoke("reconcile", "--user-pool-id", pool.id, "--since", past, "--json", environment=environment)
        duration = invoke("reconcile", "--user-pool-id", pool.id, "--since", "2h", "--json", environment=environment)

        assert lines(later.stdout)[1]["skipped"] == {"not_changed_since": 1}
        assert lines(earlier.stdout)[1]["enqueued"] == 1
        assert lines(duration.stdout)[1]["enqueued"] == 1
        assert len(events(queues)) == 2


class TestOrphans:
    def test_are_listed_and_never_deleted(
        self, pool: AdministratedPool, database_url: str, environment: dict[str, str]
    ) -> None:
        subs = [pool.invite(f"user{number}") for number in range(65)]
        insert(database_url, *subs, "orphan", "control\x1b[31m")

        as_json = invoke("reconcile", "--user-pool-id", pool.id, "--report-orphans", "--json", environment=environment)
        as_text = invoke("reconcile", "--user-pool-id", pool.id, "--report-orphans", environment=environment)

        assert as_json.returncode == as_text.returncode == 0
        by_outcome, summary = lines(as_json.stdout)
        assert by_outcome == {"orphan": ["control\x1b[31m", "orphan"]}
        assert (summary["present"], summary["orphans"]) == (65, 2)
        assert as_text.stdout.splitlines()[:2] == ['orphan "control\\u001b[31m"', "orphan orphan"]
        assert tables.names(database_url) == {*subs, "orphan", "control\x1b[31m"}

    def test_are_not_those_who_sign_up_meanwhile(self, database_url: str) -> None:
        insert(database_url, "orphan", "ada")
        with closing(connect(database_url)) as connection, closing(OrphanSearch(connection)) as search:
            insert(database_url, "signed up meanwhile")
            search.see([pool_user("ada"), pool_user("bob")])

            assert list(search.orphans()) == ["orphan"]

    def test_are_found_beyond_a_page_of_rows(self, database_url: str) -> None:
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "INSERT INTO users (cognito_user_id, display_name, handle)"
                " SELECT 'u' || n, 'x', 'u' || n FROM generate_series(1, 2500) AS t (n)"
            )
        with closing(connect(database_url)) as connection, closing(OrphanSearch(connection)) as search:
            search.see(pool_user(f"u{number}") for number in range(1, 2500))

            assert list(search.orphans()) == ["u2500"]

    @given(st.sets(st.text()), st.sets(st.text()), st.integers(1, 5))
    def test_are_what_is_here_and_not_there(self, here: set[str], there: set[str], run_length: int) -> None:
        with closing(SortedIds(run_length)) as left, closing(SortedIds(run_length)) as right:
            for spool, ids in ((left, here), (right, there)):
                for each in ids:
                    spool.add([each])

            assert list(left) == sorted(here)
            assert list(difference(left, right)) == sorted(here - there)


class TestARunThatMeetsTrouble:
    def test_and_is_killed_can_be_run_again_and_nobody_is_left_out(
        self, pool: AdministratedPool, queues: Queues, environment: dict[str, str], proxy: FaultProxy
    ) -> None:
        """In the second page."""
        subs = {pool.invite(f"user{number}") for number in range(65)}
        proxy.hang("SendMessageBatch", after=6)

        with start("reconcile", "--user-pool-id", pool.id, environment={**environment, **through(proxy)}) as process:
            wait_until(lambda: proxy.calls["SendMessageBatch"] >= 7, 30, "nothing was enqueued")
            process.kill()
        assert process.returncode == -signal.SIGKILL
        first = {event.id for event in events(queues)}
        assert len(first) == 60

        again = invoke("reconcile", "--user-pool-id", pool.id, environment=environment)

        assert again.returncode == 0, again.stderr
        assert first | {event.id for event in events(queues)} == subs

    def test_and_is_interrupted_says_how_to_go_on(
        self, pool: AdministratedPool, queues: Queues, environment: dict[str, str], proxy: FaultProxy
    ) -> None:
        for number in range(65):
            pool.invite(f"user{number}")
        proxy.hang("SendMessageBatch", after=6)

        with start("reconcile", "--user-pool-id", pool.id, environment={**environment, **through(proxy)}) as process:
            wait_until(lambda: proxy.calls["SendMessageBatch"] >= 7, 30, "the first page was not enqueued")
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)

        assert process.returncode == 130
        assert errors == "interrupted; 60 enqueued so far; run it again to go on\n"
        assert len(output.splitlines()) == 60
        assert {event.id for event in events(queues)} == {line.split()[1] for line in output.splitlines()}

    def test_and_is_throttled_goes_on(
        self, pool: AdministratedPool, queues: Queues, environment: dict[str, str], proxy: FaultProxy
    ) -> None:
        for number in range(61):
            pool.invite(f"user{number}")
        proxy.fail(LIST_USERS, status=400, code="TooManyRequestsException", times=1, after=1)

        result = invoke("reconcile", "--user-pool-id", pool.id, environment={**environment, **through(proxy)})

        assert result.returncode == 0, result.stderr
        assert queues.counts()[0] == 61
        assert proxy.calls[LIST_USERS] == 3

    def test_with_one_user_exits_with_1_and_enqueues_the_others(
        self, pool: AdministratedPool, queues: Queues, environment: dict[str, str], proxy: FaultProxy
    ) -> None:
        subs = {pool.invite(f"user{number}") for number in range(3)}
        proxy.fail_entries("SendMessageBatch", 0.34, code="InvalidMessageContents", sender_fault=True, times=1)

        result = invoke("reconcile", "--user-pool-id", pool.id, "--json", environment={**environment, **through(proxy)})

        assert (result.returncode, result.stderr) == (1, "")
        by_outcome, summary = lines(result.stdout)
        assert (summary["missing"], summary["enqueued"], summary["failed"]) == (3, 2, 1)
        assert {event.id for event in events(queues)} == set(by_outcome["enqueued"])
        assert set(by_outcome["enqueued"] + by_outcome["not_enqueued"]) == subs

    def test_with_the_queue_in_the_middle_stops_and_exits_with_1(
        self, pool: AdministratedPool, queues: Queues, environment: dict[str, str], proxy: FaultProxy
    ) -> None:
        for number in range(65):
            pool.invite(f"user{number}")
        proxy.fail("SendMessageBatch", status=403, code="AccessDenied", message="no more", after=3)
        arguments = ("reconcile", "--user-pool-id", pool.id, "--json")

        result = invoke(*arguments, environment={**environment, **through(proxy)})

        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert "AccessDenied: no more (needs sqs:SendMessage)" in line
        by_outcome, summary = lines(result.stdout)
        assert summary["complete"] is False
        assert summary["missing"] == summary["enqueued"] + summary["failed"] == 60
        assert {event.id for event in events(queues)} == set(by_outcome["enqueued"])

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
            ({"DATABASE_URL": f"postgresql://nobody@127.0.0.1:{free_port()}/x"}, "Connection refused"),
            ({"QUEUE_URL": ""}, "QUEUE_URL is not set"),
            ({"QUEUE_URL": "https://example.org/nobodys"}, "nothing was enqueued: send_message_batch: "),
            ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "no region: set AWS_REGION"),
            ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no AWS credentials: set AWS_PROFILE"),
            (cognito_environment(f"http://127.0.0.1:{free_port()}"), "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER)?"),
        ],
    )
    def test_of_the_settings_says_so_in_one_line(
        self, pool: AdministratedPool, environment: dict[str, str], settings: dict[str, str], message: str
    ) -> None:
        pool.invite("ada")
        given_settings = command_environment({**environment, **settings})

        result = invoke("reconcile", "--user-pool-id", pool.id, environment=given_settings)

        assert_refused(result, message)

    @pytest.mark.parametrize(
        ("code", "advice"),
        [
            ("AccessDeniedException", "(needs cognito-idp:ListUsers)"),
            ("ExpiredTokenException", "(sign in again, or renew the credentials)"),
            ("UnrecognizedClientException", "(are these the credentials of the right account?)"),
        ],
    )
    def test_with_its_permissions_says_so_in_one_line(
        self, code: str, advice: str, pool: AdministratedPool, environment: dict[str, str], proxy: FaultProxy
    ) -> None:
        proxy.fail(LIST_USERS, status=400, code=code, message="refused")

        result = invoke("reconcile", "--user-pool-id", pool.id, environment={**environment, **through(proxy)})

        assert_refused(result, f"signup-sync: ListUsers: {code}: refused {advice}")

    def test_with_the_pool_says_so_in_one_line(self, environment: dict[str, str]) -> None:
        result = invoke("reconcile", "--user-pool-id", "us-east-1_nobodys", environment=environment)

        assert_refused(result, "does not exist. (are its id and AWS_REGION right?)")

    def test_with_a_database_that_is_empty_says_what_to_do(
        self, environment: dict[str, str], empty_database_url: str
    ) -> None:
        arguments = ("reconcile", "--user-pool-id", "us-east-1_x", "--report-orphans")
        result = invoke(*arguments, environment={**environment, "DATABASE_URL": empty_database_url})

        assert_refused(result, "run signup-sync db migrate")

    def test_with_what_was_typed_names_the_option(self, environment: dict[str, str]) -> None:
        pool_id = invoke("reconcile", "--user-pool-id", "my pool", environment=environment)
        since = invoke("reconcile", "--user-pool-id", "us-east-1_x", "--since", "yesterday", environment=environment)

        assert (pool_id.returncode, since.returncode) == (2, 2)
        assert "'--user-pool-id': 'my pool' is not a user pool's id" in pool_id.stderr
        assert "'--since': 'yesterday' is neither a duration such as 24h" in since.stderr


def test_a_terminal_shows_progress(pool: AdministratedPool, environment: dict[str, str]) -> None:
    pool.invite("ada")

    status, terminal, piped = invoke_on_terminal(
        "reconcile", "--user-pool-id", pool.id, "--dry-run", "--json", environment=environment, stdout_too=False
    )

    assert status == 0
    assert "Comparing" in terminal
    assert lines(piped)[1]["missing"] == 1


# What people and applications write into Cognito, with what the rules look at more often than chance would have it.
_known = ["", " ", "Ada", "Ada  Lovelace", "x a@b.org y", "x" * 300, *REAL_NAMES, *ADDRESSES, *UNWANTED, *UNSEEN]
_text = st.text() | st.lists(st.sampled_from(_known), max_size=3).map("".join)
_username = _text | st.uuids().map(str) | st.emails()
_carried = ["locale", "custom:tenant_id", "custom:empty"]
_attributes = st.dictionaries(
    st.sampled_from(["preferred_username", "name", "given_name", "family_name", "email", *_carried]),
    _text | st.emails(),
)


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the attributes that the trigger takes along."""
    monkeypatch.setenv("USER_ATTRIBUTES", " locale, custom:tenant_id,,custom:empty")
    return _carried


@given(_username, _attributes, st.uuids().map(str))
@example("a" * 70 + "@b.org", {"name": "a" * 210 + "@b.org"}, "5f0c6a4e-0c1d-4a52-9d0e-6f4f1f0f2a11")
@example("ada", {"locale": "en\nGB" * 1000, "custom:tenant_id": "\x00\u200b "}, "5f0c6a4e-0c1d-4a52-9d0e-6f4f1f0f2a11")
def test_the_profile_is_that_which_the_trigger_gives(
    carried: list[str], username: str, attributes: dict[str, str], sub: str
) -> None:
    attributes = {**attributes, "sub": sub}
    # The trigger is one file without a public part but its handler, and sending is not the point here.
    message = handler._message(  # noqa: SLF001
        {"userName": username, "userPoolId": "pool", "request": {"userAttributes": attributes}}
    )

    given = profile(username, attributes, carried)

    assert {"attributes": {}, **message["data"]} == {"cognito_user_id": sub, **given}


def pool_user(sub: str) -> PoolUser:
    now = datetime.now(UTC)
    return PoolUser(sub, "CONFIRMED", True, now, now, {"sub": sub})


def assert_refused(result: subprocess.CompletedProcess[str], message: str) -> None:
    """It has ended with status 2 and one line that says why."""
    assert result.returncode == 2, result
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert message in line
