"""A worker as a process of its own, on a real Postgres and on moto's SQS over HTTP: what only a process shows.

What becomes of messages, in every case, is tested in `tests/worker/pipeline`, without a process.
"""

import json
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.support import command
from tests.support.admin import ADMIN, get, samples, status
from tests.support.events import activity, sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.outages import wait_for_users
from tests.support.sqs import Queues
from tests.support.tables import activities, names, users
from tests.support.two_batches import hold_two_batches
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess

Drain = Callable[..., WorkerProcess]

STOP_LIMIT = 25  # seconds that the worker promises
MIB = 1_048_576


def changed(body: str, **attributes: Any) -> str:
    return json.dumps(json.loads(body) | attributes)


def without(body: str, attribute: str) -> str:
    return json.dumps({name: value for name, value in json.loads(body).items() if name != attribute})


ADA = sign_up("ada")
BAD = {
    "not JSON": ("{broken", "invalid_event"),
    "empty object": ("{}", "invalid_event"),
    "a JSON string": ('"hello"', "invalid_event"),
    "wrong specversion": (changed(ADA, specversion="0.3"), "invalid_event"),
    "missing field": (without(ADA, "time"), "invalid_event"),
    "missing type": (without(ADA, "type"), "invalid_event"),
    "unknown type": (changed(ADA, type="user.merged.v1"), "unknown_type"),
    "unknown version": (changed(ADA, type="user.signed_up.v2"), "unknown_type"),
    "U+0000": (sign_up("nul", display_name="a\0b"), "invalid_event"),
    "a lone surrogate": (sign_up("lone", display_name="a\ud800b"), "invalid_event"),
    "a number where text belongs": (sign_up("number", display_name=7), "invalid_event"),
    "white space in a handle": (sign_up("space", handle="a b"), "invalid_event"),
    "deep nesting": ('{"data":' * 20_000 + "1" + "}" * 20_000, "invalid_event"),
    "a large body": (sign_up("large", display_name="x" * (MIB // 2)), "invalid_event"),
    "an impossible date": (changed(ADA, time="2026-02-30T12:00:00Z"), "invalid_event"),
    "a reply to itself": (
        activity("ada", id=str(uuid.UUID(int=1)), reply_to=str(uuid.UUID(int=1))),
        "invalid_event",
    ),
}


@pytest.mark.parametrize("client", ["lean", "boto3"])
def test_messages_become_rows_and_dead_letters(queues: Queues, database_url: str, drain: Drain, client: str) -> None:
    post, reply = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
    queues.send(*(sign_up(f"user{n}") for n in range(120)), "broken", sign_up("user0", handle="other"))
    queues.send(activity("user1", id=reply, reply_to=post), activity("user2", id=post), sign_up("eve", handle="USER3"))

    worker = drain(SQS_CLIENT=client)

    rows = {row[0]: row[2] for row in users(database_url)}
    assert set(rows) == {*(f"user{n}" for n in range(120)), "eve"}
    assert rows["user0"] == "user0"
    assert str(rows["eve"]).startswith("USER3-")
    assert {str(row[0]): row[3] for row in activities(database_url)} == {post: 1, reply: 0}
    [letter] = queues.dead_letters()
    assert (letter.body, letter.attributes["failure_reason"]) == ("broken", "invalid_event")
    assert queues.counts() == (0, 0, 0)
    assert len(worker.events("batch_committed")) <= 8


@pytest.mark.queues(activities=True)
def test_of_two_queues_one_brings_activities_and_nothing_else(
    queues: Queues, database_url: str, start_worker: StartWorker
) -> None:
    assert queues.activities_url is not None
    queues.send(activity("ada", "early"), sign_up("eve"), to=queues.activities_url)
    worker = start_worker(**ADMIN)
    worker.wait_for("retried_later")
    queues.send(sign_up("ada"))
    wait_until(lambda: len(activities(database_url)) == 1, 20, "the activity is not written")
    queues.send(*(activity("ada") for _ in range(12)), to=queues.activities_url)
    wait_until(lambda: len(activities(database_url)) == 13, 20, "the activities are not written")

    assert names(database_url) == {"ada"}
    [letter] = queues.dead_letters()
    assert (letter.attributes["failure_reason"], letter.attributes["source_queue"]) == ("wrong_queue", "activities")
    metrics = samples(worker)
    assert metrics['signup_sync_dead_lettered_messages_total{reason="wrong_queue"}'] == 1
    assert {queue for queue in ("events", "activities", "dead_letters") if _depth_of(queue) in metrics} == {
        "events",
        "activities",
        "dead_letters",
    }
    worker.terminate()
    assert worker.wait() == 0
    assert worker.wait_for("stopped")["clean"]


def _depth_of(queue: str) -> str:
    return f'signup_sync_queue_messages{{queue="{queue}",state="visible"}}'


def test_a_batch_with_one_bad_message_of_each_kind(
    queues: Queues, database_url: str, drain: Callable[..., WorkerProcess]
) -> None:
    good = {f"user{n}" for n in range(len(BAD))}
    for name, (body, _) in zip(sorted(good), BAD.values(), strict=True):
        queues.send(body)
        queues.send(sign_up(name))

    drain()

    assert names(database_url) == good
    letters = {letter.body: letter.attributes for letter in queues.dead_letters()}
    assert {kind: letters[body].get("failure_reason") for kind, (body, _) in BAD.items()} == {
        kind: reason for kind, (_, reason) in BAD.items()
    }
    assert len(letters) == len(BAD)
    for attributes in letters.values():
        assert "\n" not in attributes["failure_detail"]
        assert attributes["receive_count"] == "1"
        assert attributes["failed_at"].endswith("Z")
        assert uuid.UUID(attributes["source_message_id"])


def test_a_body_of_one_mebibyte_is_dead(queues: Queues, drain: Callable[..., WorkerProcess]) -> None:
    body = sign_up("huge", display_name="x" * (MIB - len(sign_up("huge", display_name=""))))
    assert len(body) == MIB
    queues.send(body)

    worker = drain()

    [letter] = queues.dead_letters()
    assert letter.body == body
    # SQS counts attributes too, so that there may be no room for the reason; then the log has it.
    assert letter.attributes.get("failure_reason", "invalid_event") == "invalid_event"
    assert worker.wait_for("dead_lettered")["reason"] == "invalid_event"


def test_a_row_that_the_database_refuses_is_found_in_its_batch(
    queues: Queues, database_url: str, drain: Callable[..., WorkerProcess]
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE users ADD CONSTRAINT not_mallory CHECK (handle <> 'mallory')")
    good = {f"user{n}" for n in range(60)}
    queues.send(*map(sign_up, good), sign_up("mallory"), *(sign_up(f"more{n}") for n in range(30)))

    drain()

    assert names(database_url) == good | {f"more{n}" for n in range(30)}
    [letter] = queues.dead_letters()
    assert letter.body == sign_up("mallory")
    assert letter.attributes["failure_reason"] == "rejected_by_database"
    assert letter.attributes["failure_detail"] == "23514 CheckViolation (not_mallory)"


@pytest.mark.parametrize("signal", ["terminate", "interrupt"])
def test_what_was_not_begun_is_visible_again_at_once(
    queues: Queues, proxy: FaultProxy, database_url: str, start_worker: StartWorker, signal: str
) -> None:
    expected = [f"user{n}" for n in range(11)]
    worker = start_worker(endpoint_url=proxy.endpoint_url, WRITERS="1")
    worker.wait_for("opened")
    with psycopg.connect(database_url) as blocker:
        # Who writes waits for this transaction.
        blocker.execute("LOCK TABLE users IN SHARE MODE")
        hold_two_batches(worker, queues, proxy, list(map(sign_up, expected)))
        getattr(worker, signal)()
        worker.wait_for("stopping")
        blocker.rollback()

        assert worker.wait(STOP_LIMIT) == 0

    assert worker.wait_for("stopped")["clean"] is True
    assert queues.counts() == (10, 0, 0)
    assert names(database_url) == {"user0"}


def test_a_second_signal_ends_it_at_once(queues: Queues, database_url: str, start_worker: StartWorker) -> None:
    worker = start_worker(STATEMENT_TIMEOUT_MS="60000", LOCK_TIMEOUT_MS="60000")
    worker.wait_for("opened")
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE users IN SHARE MODE")
        queues.send(sign_up("ada"))
        wait_until(lambda: queues.counts()[1] == 1, 20, "nothing was received")
        worker.terminate()
        worker.wait_for("stopping")

        worker.terminate()

        assert worker.wait(STOP_LIMIT) == 128 + 15
        assert worker.events("stopped") == []


def test_once_on_an_empty_queue_takes_one_receive(proxy: FaultProxy, start_worker: StartWorker) -> None:
    worker = start_worker("--once", endpoint_url=proxy.endpoint_url, RECEIVE_WAIT_SECONDS="20")

    assert worker.wait() == 0
    assert proxy.calls["ReceiveMessage"] == 1


@pytest.mark.process
def test_a_worker_stops_receiving_while_all_are_paused_and_goes_on_when_they_are_resumed(
    proxy: FaultProxy, queues: Queues, database_url: str, start_worker: StartWorker
) -> None:
    operator = command.command_environment({"DATABASE_URL": database_url, "LOGNAME": "grace"})
    worker = start_worker(endpoint_url=proxy.endpoint_url, **ADMIN)
    queues.send(sign_up("before"))
    wait_for_users(database_url, {"before"})

    paused = command.run("pause", "--why", "failover is tested", "--yes", environment=operator)
    assert paused.returncode == 0, paused.stderr
    line = worker.wait_for("paused_by_operator")
    assert (line["who"], line["reason"]) == ("grace", "failover is tested")
    assert get(worker, "/readyz").text == f"paused by grace since {line['since']}: failover is tested\n"
    assert status(worker)["pause"] == {"who": "grace", "since": line["since"], "reason": "failover is tested"}
    assert get(worker, "/livez").status == 200
    once = start_worker("--once", wait=False)
    assert once.wait() == 2
    assert once.stderr.startswith(f"signup-sync: all workers are paused by grace since {line['since']}: ")
    ended = 'signup_sync_sqs_calls_total{operation="ReceiveMessage",outcome="ok"}'
    wait_until(lambda: samples(worker)[ended] == proxy.calls["ReceiveMessage"], 20, "a receive does not end")
    received = proxy.calls["ReceiveMessage"]
    queues.send(sign_up("after"))
    other = start_worker()
    other.wait_for("paused_by_operator")

    assert proxy.calls["ReceiveMessage"] == received
    assert queues.counts() == (1, 0, 0)
    resumed = command.run("resume", "--yes", environment=operator)
    assert resumed.returncode == 0, resumed.stderr
    wait_for_users(database_url, {"before", "after"})
    worker.wait_for("resumed_by_operator")
    wait_until(lambda: get(worker, "/readyz").status == 200, 20, "it is not ready")
