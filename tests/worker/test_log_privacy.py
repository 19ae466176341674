"""Everything goes wrong, and no log says who the people are or what they wrote."""

import json
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest

from tests.support import command
from tests.support.admin import ADMIN, get
from tests.support.events import activity, deleted, sign_up, updated
from tests.support.fault_proxy import FaultProxy
from tests.support.ports import free_port
from tests.support.sqs import Queues, aws_environment
from tests.support.user_pool import AdministratedPool, cognito_environment
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess
from tests.trigger_lambda.container import Container
from worker.text import id_for_logs

# A part of every e-mail address, name, handle and message here, and of nothing else.
PERSONAL = "xyzzy"

# Lines about a message, and what each of them has.
ABOUT_A_MESSAGE = {"dead_lettered", "retried_later", "handle_reassigned", "left_to_sqs", "lease_lost"}
DESCRIPTION = {"event_id", "event_type", "message_id", "receive_count"}


def person(name: str, **data: object) -> str:
    """A sign-up of somebody whose id says nothing about them."""
    who = {
        "email": f"{PERSONAL}.{name}@example.com",
        "display_name": f"{PERSONAL} {name}",
        "handle": f"{PERSONAL}{name}",
    }
    return sign_up(f"sub-{name}", **{**who, **data})


ATTRIBUTES = {"custom:tenant_id": f"{PERSONAL} tenant", "locale": PERSONAL}


def renamed(name: str, handle: str, **data: Any) -> str:
    """A change of somebody's profile."""
    who: dict[str, Any] = {
        "email": f"{PERSONAL}.{name}@example.com",
        "display_name": PERSONAL,
        "attributes": ATTRIBUTES,
    }
    return updated(f"sub-{name}", handle=handle, **{**who, **data})


def post(author: str, **options: str) -> str:
    return activity(f"sub-{author}", f"{PERSONAL} was here", **options)


def changed(body: str, **attributes: object) -> str:
    return json.dumps({**json.loads(body), **attributes})


EVENTS = [
    person("ada", attributes=ATTRIBUTES),
    person("bob"),
    person("bea", handle=f"{PERSONAL}BOB"),  # taken: reassigned
    person("eve", display_name=f"{PERSONAL}\0"),
    person("tom", email=7),
    changed(person("ida"), time=f"{PERSONAL} o'clock"),
    changed(person("leo"), type="user.renamed.v1"),
    changed(person("lea"), type="user.deleted.v1", data={"cognito_user_id": "sub-lea", "activities": PERSONAL}),
    person("una", attributes={PERSONAL: 7}),
    person("ute", attributes={f"{PERSONAL}\0": PERSONAL}),
    person("uwe", attributes={"custom:long": PERSONAL * 500}),
    renamed("ada", f"{PERSONAL}Bob"),  # taken: reassigned
    renamed("bea", f"{PERSONAL}bea", attributes={PERSONAL: [PERSONAL]}),
    renamed("bob", f"{PERSONAL}bob", email=f"blocked.{PERSONAL}@example.com"),
    renamed("nobody", f"{PERSONAL}nobody"),
    deleted("sub-gone"),
    renamed("gone", f"{PERSONAL}gone"),
    post("gone"),
    changed(person("max"), id=f"{PERSONAL}" * 50),
    # An address where the id belongs: of one that is reassigned, and of one that is rejected by the database.
    changed(person("zoe", handle=f"{PERSONAL}Bob"), id=f"{PERSONAL}.zoe@example.com"),
    changed(person("ned", email=f"blocked.{PERSONAL}@example.com"), id=f"{PERSONAL}.ned@example.com"),
    post("ada"),
    post("nobody"),
    post("ada", reply_to=str(uuid.uuid4())),
    f"{{{PERSONAL}",
]


pytestmark = pytest.mark.queues(visibility_timeout=4, max_receive_count=2)


def assert_nothing_personal(text: str) -> None:
    lines = [line for line in text.splitlines() if PERSONAL in line.lower() or "example.com" in line]
    assert lines == []


def assert_messages_are_described(worker: WorkerProcess) -> None:
    for line in worker.log:
        if line.get("event") in ABOUT_A_MESSAGE:
            assert line.keys() >= DESCRIPTION, line


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_worker_that_meets_everything_that_can_go_wrong(
    queues: Queues, database_url: str, start_worker: StartWorker, log_format: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE users ADD CONSTRAINT spared CHECK (email NOT LIKE 'blocked%')")
    queues.send(*EVENTS)
    with FaultProxy(queues.endpoint_url) as proxy:
        proxy.fail("DeleteMessageBatch", times=3)
        proxy.fail("ChangeMessageVisibilityBatch", times=2)
        worker = start_worker(
            endpoint_url=proxy.endpoint_url, LOG_FORMAT=log_format, METRICS="emf", wait=False, **ADMIN
        )
        wait_until(lambda: queues.dead_letter_count() == 13, 60, "not all that fail are dead")
        wait_until(lambda: str(worker).count("retried_later") >= 3, 30, "nobody has to wait")
        with psycopg.connect(database_url) as connection:
            connection.execute("ALTER TABLE users RENAME TO no_users")
        queues.send(person("late"))
        wait_until(lambda: "paused" in str(worker), 30, "it does not pause")
        worker.terminate()
        assert worker.wait() == 0

    if log_format == "json":
        assert {line["event"] for line in worker.log if "event" in line} >= {
            "dead_lettered",
            "retried_later",
            "handle_reassigned",
            "paused",
        }
        assert_messages_are_described(worker)
        assert {line["reason"] for line in worker.events("dead_lettered")} == {
            "invalid_event",
            "unknown_type",
            "rejected_by_database",
        }
        assert {line["reason"] for line in worker.events("retried_later")} == {
            "unknown_author",
            "unknown_parent",
            "unknown_user",
        }
    assert_nothing_personal(str(worker))


def test_a_message_that_is_left_to_sqs_is_described(queues: Queues, start_worker: StartWorker) -> None:
    with FaultProxy(queues.endpoint_url) as proxy:
        proxy.fail("DeleteMessageBatch", status=400, code="InvalidParameterValue")
        worker = start_worker(endpoint_url=proxy.endpoint_url)
        queues.send(person("ada"))
        [line] = [worker.wait_for("left_to_sqs", 30)]
        proxy.clear()
        worker.terminate()
        worker.wait()

    assert line["event_id"] == id_for_logs("sub-ada")
    assert_messages_are_described(worker)
    assert_nothing_personal(str(worker))


def test_what_the_admin_server_tells(queues: Queues, start_worker: StartWorker) -> None:
    queues.send(*EVENTS)
    worker = start_worker(**ADMIN)
    worker.wait_for("batch_committed")

    pages = [get(worker, path).text for path in ("/livez", "/readyz", "/metrics", "/status")]

    assert "signup_sync_committed_messages_total" in pages[2]
    assert_nothing_personal("\n".join(pages))


def test_a_lambda_that_cannot_enqueue(queues: Queues) -> None:
    dead_end = f"http://127.0.0.1:{free_port()}"
    attributes = {"sub": "sub-ada", "email": f"{PERSONAL}@example.com", "name": PERSONAL}
    with Container({**aws_environment(dead_end), "QUEUE_URL": queues.events_url}) as container:
        ended = container.invoke(
            {
                "triggerSource": "PostConfirmation_ConfirmSignUp",
                "userPoolId": "pool",
                "userName": PERSONAL,
                "request": {"userAttributes": attributes},
            }
        )

    assert [json.loads(line)["event"] for line in ended.log] == ["enqueue_failed"]
    assert_nothing_personal("".join(ended.log))


@pytest.fixture
def environment(queues: Queues, database_url: str) -> dict[str, str]:
    return command.command_environment(
        {
            "QUEUE_URL": queues.events_url,
            "DLQ_URL": queues.dlq_url,
            "DATABASE_URL": database_url,
            **aws_environment(queues.endpoint_url),
            **cognito_environment(queues.endpoint_url),
        }
    )


def test_a_reconciliation_that_finds_people(queues: Queues, environment: dict[str, str]) -> None:
    with closing(AdministratedPool.create(queues.endpoint_url)) as pool:
        pool.confirm(f"{PERSONAL}@example.com", email=f"{PERSONAL}@example.com", name=PERSONAL)

        found = command.run("reconcile", "--user-pool-id", pool.id, "--json", environment=environment)

    assert found.returncode == 0, found
    assert '"enqueued": 1' in found.stdout
    assert_nothing_personal(found.stdout + found.stderr)


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["stats"], ["replay"]], ids=" ".join)
def test_lists_of_dead_letters(
    queues: Queues, environment: dict[str, str], drain: Callable[..., WorkerProcess], arguments: list[str]
) -> None:
    queues.send(*EVENTS)
    drain(MAX_ATTEMPTS="1")

    said = command.run("dlq", *arguments, environment=environment)

    assert said.returncode in (0, 1), said
    assert said.stdout + said.stderr
    assert_nothing_personal(said.stdout + said.stderr)
