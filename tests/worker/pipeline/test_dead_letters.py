"""What can never work goes to the dead-letter queue with its reason, and alone."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import psycopg

from tests.support.events import activity, sign_up
from tests.support.sqs import Queues
from tests.support.tables import names
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess

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
    "unknown type": (changed(ADA, type="user.deleted.v1"), "unknown_type"),
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


def test_attributes_of_the_publisher_stay_with_the_dead_letter(
    queues: Queues, drain: Callable[..., WorkerProcess]
) -> None:
    queues.client.send_message(
        QueueUrl=queues.events_url,
        MessageBody="{broken",
        MessageAttributes={f"own{n}": {"DataType": "String", "StringValue": str(n)} for n in range(8)},
    )

    drain()

    [letter] = queues.dead_letters()
    own = {name: value for name, value in letter.attributes.items() if name.startswith("own")}
    # SQS takes ten attributes, and five say what failed.
    assert len(own) == 5
    assert all(name == f"own{value}" for name, value in own.items())
    assert letter.attributes["failure_reason"] == "invalid_event"


def test_no_log_line_holds_personal_data(queues: Queues, database_url: str, start_worker: StartWorker) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE users ADD CONSTRAINT blocked CHECK (email <> 'secret3@example.com')")
    queues.send(
        sign_up("u1", email="secret1@example.com", display_name="Secret One", handle="secret-handle"),
        sign_up("u2", email="secret2@example.com", display_name="Secret Two", handle="SECRET-handle"),
        sign_up("u3", email="secret3@example.com", display_name="Secret Three"),
        changed(sign_up("u4", email="secret4@example.com", display_name="Secret Four"), time="secret time"),
        activity("u1", "secret message"),
        activity("u9", "secret message"),
    )
    worker = start_worker(MAX_ATTEMPTS="1")
    wait_until(lambda: queues.dead_letter_count() == 3, 30, "three messages are not dead")
    wait_until(lambda: not sum(queues.counts()), 30, "the queue is not empty")

    assert names(database_url) == {"u1", "u2"}
    assert "secret" not in str(worker).lower()
    for letter in queues.dead_letters():
        assert "secret" not in json.dumps(letter.attributes).lower()
