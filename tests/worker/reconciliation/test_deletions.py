"""`signup-sync reconcile --deleted`: rows whose user is no longer in the pool."""

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest

from db.pool import connect
from signup_sync.events import UserDeleted, parse_event
from tests.support.fault_proxy import FaultProxy
from tests.support.invoke import invoke
from tests.support.sqs import Queues
from tests.support.user_pool import AdministratedPool
from tests.support.worker_process import WorkerProcess
from worker.aws.cognito import UserPool
from worker.reconciliation.deletions import Erasure, Erasures
from worker.reconciliation.outbox import Outbox, Sent
from worker.reconciliation.reconciliation import OrphanSearch

GONE = ("gone", "gone too")


@pytest.fixture
def command(pool: AdministratedPool) -> tuple[str, ...]:
    return ("reconcile", "--user-pool-id", pool.id, "--deleted", "--erase")


def insert(database_url: str, *subs: str, age: str = "2 hours") -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO users (cognito_user_id, display_name, handle, created_at)"
            " SELECT sub, 'x', md5(sub), now() - %s::interval FROM unnest(%s::text[]) AS t (sub)",
            (age, list(subs)),
        )


def populate(pool: AdministratedPool, database_url: str, users: int) -> None:
    """So many rows: of users of the pool, and of `GONE`."""
    insert(database_url, *GONE, *(pool.invite(f"user{number}") for number in range(users - len(GONE))))


def deletions(queues: Queues) -> list[UserDeleted]:
    messages = queues.client.receive_message(
        QueueUrl=queues.events_url, MaxNumberOfMessages=10, VisibilityTimeout=0
    ).get("Messages", [])
    events = [parse_event(message["Body"]) for message in messages]
    return [event for event in events if isinstance(event, UserDeleted)]


def said(output: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    *users, last = map(json.loads, output.splitlines())
    return users, last["summary"]


def test_who_is_gone_is_erased_and_then_no_orphan(
    pool: AdministratedPool,
    queues: Queues,
    database_url: str,
    environment: dict[str, str],
    command: tuple[str, ...],
    drain: Callable[..., WorkerProcess],
) -> None:
    populate(pool, database_url, 40)

    dry = invoke(*command, "--dry-run", environment=environment)
    done = invoke(*command, "--json", environment=environment)

    assert dry.stdout.splitlines()[:2] == ["would enqueue deletion of gone", "would enqueue deletion of gone too"]
    assert (done.returncode, done.stderr) == (0, "")
    users, summary = said(done.stdout)
    assert users == [{"cognito_user_id": sub, "outcome": "enqueued", "type": "user.deleted.v1"} for sub in GONE]
    assert (summary["orphans"], summary["erasures"]) == (2, {"enqueued": 2, "failed": 0})
    assert [(event.data.cognito_user_id, event.data.activities) for event in deletions(queues)] == [
        (sub, "erase") for sub in GONE
    ]
    drain()
    with psycopg.connect(database_url) as connection:
        deleted = connection.execute("SELECT cognito_user_id FROM users WHERE deleted_at IS NOT NULL").fetchall()
    assert sorted(deleted) == [(sub,) for sub in GONE]
    again = invoke(*command, "--json", environment=environment)
    assert said(again.stdout)[0] == []


def test_more_than_one_in_twenty_is_refused_as_the_wrong_pool(
    pool: AdministratedPool, queues: Queues, database_url: str, environment: dict[str, str], command: tuple[str, ...]
) -> None:
    populate(pool, database_url, 39)

    done = invoke(*command, environment=environment)

    assert done.returncode == 2
    assert done.stdout.splitlines()[:2] == ["orphan gone", "orphan gone too"]
    assert done.stderr.startswith("signup-sync: nobody was erased: 2 of 39 users are not in the pool, more than 5 %;")
    assert len(done.stderr.splitlines()) == 1
    assert deletions(queues) == []


def test_who_has_just_signed_up_may_not_be_in_the_pool_yet(
    pool: AdministratedPool, queues: Queues, database_url: str, environment: dict[str, str], command: tuple[str, ...]
) -> None:
    insert(database_url, "young", age="59 minutes")

    done = invoke(*command, "--json", environment=environment)

    assert (done.returncode, said(done.stdout)[0]) == (0, [])
    assert deletions(queues) == []
    listed = invoke("reconcile", "--user-pool-id", pool.id, "--deleted", "--json", environment=environment)
    assert said(listed.stdout)[0] == [{"cognito_user_id": "young", "outcome": "orphan"}]


def test_who_is_in_the_pool_after_all_is_not_erased(pool: AdministratedPool, database_url: str) -> None:
    """ListUsers may leave somebody out while others come and go."""
    subs = [pool.invite(f"user{number}") for number in range(20)]
    insert(database_url, *subs)
    client = UserPool(pool.id, pool.cognito)
    with closing(connect(database_url)) as connection, closing(OrphanSearch(connection)) as search:
        search.see(user for page in client.pages() for user in page if user.sub != subs[7])

        erasures = list(Erasures(client, Outbox(None)).run(search))

    assert erasures == [Erasure(subs[7], Sent("not_enqueued", "is in the pool after all"))]


def test_who_is_on_pages_that_were_not_read_is_not_gone(
    pool: AdministratedPool, database_url: str, environment: dict[str, str], proxy: FaultProxy
) -> None:
    """The queue fails in the first page of the pool, of which some are missing."""
    for number in range(61):
        pool.invite(f"user{number}")
    first, second = (page for page in UserPool(pool.id, pool.cognito).pages())
    insert(database_url, *(user.sub for user in [*first[20:], *second]))
    proxy.fail("SendMessageBatch", status=403, code="AccessDenied", message="no more", after=1)

    done = invoke(
        *("reconcile", "--user-pool-id", pool.id, "--deleted", "--json"),
        environment={**environment, "AWS_ENDPOINT_URL_SQS": proxy.endpoint_url},
    )

    assert done.returncode == 1
    users, summary = said(done.stdout)
    assert {user["outcome"] for user in users} == {"enqueued", "not_enqueued"}
    assert (summary["complete"], summary["orphans"]) == (False, None)


def test_a_deletion_that_the_queue_does_not_take_is_said_and_the_run_has_failed(
    pool: AdministratedPool, queues: Queues, database_url: str, environment: dict[str, str], proxy: FaultProxy
) -> None:
    populate(pool, database_url, 40)
    proxy.fail("SendMessageBatch", status=403, code="AccessDenied", message="no")

    done = invoke(
        *("reconcile", "--user-pool-id", pool.id, "--deleted", "--erase", "--json"),
        environment={**environment, "AWS_ENDPOINT_URL_SQS": proxy.endpoint_url},
    )

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("stopped: ")
    users, summary = said(done.stdout)
    assert [user["outcome"] for user in users] == ["not_enqueued"] * 2
    assert summary["erasures"] == {"enqueued": 0, "failed": 2}
    assert deletions(queues) == []


def test_tombstones_are_no_orphans(pool: AdministratedPool, database_url: str, environment: dict[str, str]) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO users (cognito_user_id, deleted_at) VALUES ('gone', now())")

    done = invoke("reconcile", "--user-pool-id", pool.id, "--deleted", "--json", environment=environment)

    users, summary = said(done.stdout)
    assert (users, summary["orphans"]) == ([], 0)


def test_erase_alone_is_refused(environment: dict[str, str]) -> None:
    done = invoke("reconcile", "--user-pool-id", "us-east-1_x", "--erase", environment=environment)

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "Error: --erase belongs to --deleted."
