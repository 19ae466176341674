"""`signup-sync reconcile --changes`: who is another one in the pool than in the table."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from db.admin.roles import grant_reconciler, grant_worker
from signup_sync.events import UserUpdated, parse_event
from tests.support import tables
from tests.support.fault_proxy import FaultProxy
from tests.support.invoke import invoke
from tests.support.postgres import CreateRole
from tests.support.sqs import Queues
from tests.support.user_pool import AdministratedPool
from tests.support.worker_process import WorkerProcess

Reconcile = Callable[..., tuple[list[dict[str, Any]], dict[str, int]]]


@pytest.fixture
def reconcile(pool: AdministratedPool, environment: dict[str, str]) -> Reconcile:
    """Runs it to its end; returns what it says of users, and the counts of changes."""

    def run(*arguments: str, **settings: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
        done = invoke(
            *("reconcile", "--user-pool-id", pool.id, "--changes", "--json", *arguments),
            environment={**environment, **settings},
        )
        assert (done.returncode, done.stderr) == (0, "")
        *users, last = map(json.loads, done.stdout.splitlines())
        return users, last["summary"]["changes"]

    return run


def change(pool: AdministratedPool, username: str, **attributes: str) -> None:
    pool.cognito.admin_update_user_attributes(
        UserPoolId=pool.id,
        Username=username,
        UserAttributes=[{"Name": name, "Value": value} for name, value in attributes.items()],
    )


def updates(queues: Queues) -> list[UserUpdated]:
    messages = queues.client.receive_message(
        QueueUrl=queues.events_url, MaxNumberOfMessages=10, VisibilityTimeout=0
    ).get("Messages", [])
    events = [parse_event(message["Body"]) for message in messages]
    return [event for event in events if isinstance(event, UserUpdated)]


def outcome(sub: str, outcome: str, *fields: str, **others: str) -> dict[str, Any]:
    return {"cognito_user_id": sub, "outcome": outcome, "type": "user.updated.v1", "fields": [*fields], **others}


def test_what_has_changed_is_enqueued_written_and_then_no_difference(
    pool: AdministratedPool,
    queues: Queues,
    database_url: str,
    drain: Callable[..., WorkerProcess],
    reconcile: Reconcile,
) -> None:
    ada = pool.confirm("ada", name="Ada Lovelace", email="ada@example.org")
    pool.confirm("bob")
    reconcile()
    drain()
    assert reconcile() == ([], {"changed": 0, "enqueued": 0, "failed": 0, "newer": 0})
    change(pool, "ada", name="Ada King", email="king@example.org", preferred_username="countess")
    modified = pool.cognito.admin_get_user(UserPoolId=pool.id, Username="ada")["UserLastModifiedDate"]
    fields = ("handle", "display_name", "email")
    assert reconcile("--dry-run") == (
        [outcome(ada, "would_enqueue", *fields)],
        {"changed": 1, "enqueued": 0, "failed": 0, "newer": 0},
    )

    users, counts = reconcile("--rate", "1000")

    assert users == [outcome(ada, "enqueued", *fields)]
    assert counts == {"changed": 1, "enqueued": 1, "failed": 0, "newer": 0}
    [event] = updates(queues)
    assert (event.time, event.source) == (modified, f"/cognito/{pool.id}")
    drain()
    assert next(row for row in tables.users(database_url) if row[0] == ada)[1:4] == (
        *("Ada King", "countess", "king@example.org"),
    )
    assert reconcile()[0] == []


def test_attributes_that_are_to_go_along_since_today_are_a_change_of_everybody(
    pool: AdministratedPool, database_url: str, drain: Callable[..., WorkerProcess], reconcile: Reconcile
) -> None:
    """Of rows that are as old as their user, or a moment younger; and again, of rows with an update."""
    ada = pool.confirm("ada", locale="en", zoneinfo="Europe/London")
    reconcile()
    drain()
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE users SET created_at = created_at + interval '1 second'")

    for names, attributes in (("locale", {"locale": "en"}), ("zoneinfo", {"zoneinfo": "Europe/London"})):
        assert reconcile(USER_ATTRIBUTES=names)[0] == [outcome(ada, "enqueued", "attributes")]
        drain()
        with psycopg.connect(database_url) as connection:
            assert connection.execute("SELECT attributes FROM users").fetchall() == [(attributes,)]
            # As if nothing had been moved above.
            connection.execute("UPDATE users SET profile_at = profile_at - interval '1 second'")
        assert reconcile(USER_ATTRIBUTES=names)[0] == []


def test_a_handle_with_a_suffix_is_no_difference(
    pool: AdministratedPool, database_url: str, drain: Callable[..., WorkerProcess], reconcile: Reconcile
) -> None:
    pool.confirm("ada")
    pool.confirm("other", preferred_username="ADA")
    reconcile()
    drain()
    assert any("-" in str(row[2]) for row in tables.users(database_url))

    assert reconcile()[0] == []


def test_a_row_that_is_newer_than_the_pool_stays(
    pool: AdministratedPool, queues: Queues, database_url: str, reconcile: Reconcile
) -> None:
    ada = pool.confirm("ada")
    insert(database_url, ada, profile_at=datetime.now(UTC) + timedelta(hours=1))

    users, counts = reconcile()

    assert users == [outcome(ada, "not_enqueued", "handle", "display_name", reason="the row is newer")]
    assert counts == {"changed": 1, "enqueued": 0, "failed": 0, "newer": 1}
    assert updates(queues) == []


def test_tombstones_and_who_has_not_changed_since_are_not_compared(
    pool: AdministratedPool, database_url: str, reconcile: Reconcile
) -> None:
    insert(database_url, pool.confirm("ada"))
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO users (cognito_user_id, deleted_at) VALUES (%s, now())", (pool.confirm("gone"),)
        )

    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    assert reconcile("--since", later)[0] == []
    assert [user["outcome"] for user in reconcile()[0]] == ["enqueued"]


def test_people_read_the_names_of_the_fields_and_no_values(
    pool: AdministratedPool, database_url: str, environment: dict[str, str]
) -> None:
    ada = pool.confirm("ada", name="Ada King", email="king@example.org")
    insert(database_url, ada)

    done = invoke("reconcile", "--user-pool-id", pool.id, "--changes", environment=environment)

    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert first == f"enqueued update of {ada} (handle, display_name, email)"
    assert last == "changed:      1 (1 enqueued, 0 newer here)"


def test_what_the_queue_does_not_take_is_said_and_the_run_has_failed(
    pool: AdministratedPool, queues: Queues, database_url: str, environment: dict[str, str], proxy: FaultProxy
) -> None:
    subs = [pool.confirm(name) for name in ("ada", "bob", "eve")]
    for sub in subs:
        insert(database_url, sub)
    proxy.fail_entries("SendMessageBatch", 0.34, code="InvalidMessageContents", sender_fault=True, times=1)

    done = invoke(
        *("reconcile", "--user-pool-id", pool.id, "--changes", "--json"),
        environment={**environment, "AWS_ENDPOINT_URL_SQS": proxy.endpoint_url},
    )

    assert (done.returncode, done.stderr) == (1, "")
    *users, last = map(json.loads, done.stdout.splitlines())
    assert last["summary"]["changes"] == {"changed": 3, "enqueued": 2, "failed": 1, "newer": 0}
    assert {user["cognito_user_id"] for user in users if user["outcome"] == "enqueued"} == {
        event.data.cognito_user_id for event in updates(queues)
    }


def test_the_workers_role_looks_for_who_is_gone_and_is_told_that_changes_need_more(
    pool: AdministratedPool, database_url: str, environment: dict[str, str], role: CreateRole
) -> None:
    url = role()
    grant_worker(database_url, str(conninfo_to_dict(url)["user"]))
    insert(database_url, pool.confirm("ada"))
    environment["DATABASE_URL"] = url

    changes = invoke("reconcile", "--user-pool-id", pool.id, "--changes", environment=environment)
    deleted = invoke("reconcile", "--user-pool-id", pool.id, "--deleted", "--erase", environment=environment)

    with psycopg.connect(database_url) as connection:
        connection.execute(SQL("DROP OWNED BY {}").format(Identifier(str(conninfo_to_dict(url)["user"]))))
    assert deleted.returncode == 0, deleted.stderr
    assert changes.returncode == 2
    (line,) = changes.stderr.splitlines()
    assert "permission denied for table users; --changes needs a role that may read e-mail addresses" in line


def test_the_reconcilers_role_compares_and_looks_for_who_is_gone(
    pool: AdministratedPool, database_url: str, environment: dict[str, str], role: CreateRole
) -> None:
    url = role()
    grant_reconciler(database_url, str(conninfo_to_dict(url)["user"]))
    insert(database_url, pool.confirm("ada"))
    insert(database_url, "gone")
    pool.confirm("new")

    done = invoke(
        *("reconcile", "--user-pool-id", pool.id, "--changes", "--deleted", "--json"),
        environment={**environment, "DATABASE_URL": url},
    )

    with psycopg.connect(database_url) as connection:
        connection.execute(SQL("DROP OWNED BY {}").format(Identifier(str(conninfo_to_dict(url)["user"]))))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])["summary"]
    assert (summary["enqueued"], summary["changes"]["enqueued"], summary["orphans"]) == (1, 1, 1)


def insert(database_url: str, sub: str, profile_at: datetime | None = None) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO users (cognito_user_id, display_name, handle, profile_at) VALUES (%s, 'x', md5(%s), %s)",
            (sub, sub, profile_at),
        )
