"""Each outcome that a message can have, and what is left of it in the queues and the tables."""

import uuid
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from signup_sync.sqs import Outgoing
from tests.support.events import activity, body, sign_up
from tests.support.memory_system import MemorySystem
from worker.aws.sqs import Queue, text_attribute
from worker.text import id_for_logs

POST, REPLY = uuid.UUID(int=1), uuid.UUID(int=2)


def run_once(system: MemorySystem, **settings: Any) -> None:
    """A worker, until the queue is empty and the worker has ended."""
    worker = system.worker(until_empty=True, **settings)
    system.clock.run_until(lambda: not worker.running)
    assert worker.succeeded


def texts(attributes: Mapping[str, Any]) -> dict[str, str]:
    return {name: attribute["StringValue"] for name, attribute in attributes.items()}


def test_a_sign_up_becomes_a_row_and_is_deleted(system: MemorySystem) -> None:
    system.send(sign_up("ada", display_name="Ada Łukasz", email=None))

    run_once(system)

    [user] = system.database.users.values()
    assert (user["cognito_user_id"], user["display_name"], user["handle"], user["email"]) == (
        "ada",
        "Ada Łukasz",
        "ada",
        None,
    )
    assert (system.events.messages, system.dead_letters) == ([], [])


def test_an_activity_becomes_a_row_and_its_parent_counts_it(system: MemorySystem) -> None:
    system.send(sign_up("ada"), activity("ada", "hello", id=str(POST)))
    run_once(system)
    system.send(activity("ada", "and again", id=str(REPLY), reply_to=str(POST)))

    run_once(system)

    posts = system.database.activities
    assert {key: (row["message"], row["replies_count"]) for key, row in posts.items()} == {
        POST: ("hello", 1),
        REPLY: ("and again", 0),
    }
    assert (system.events.messages, system.dead_letters) == ([], [])


def test_everything_twice_is_as_good_as_once(system: MemorySystem) -> None:
    system.send(
        *[sign_up("ada"), activity("ada", id=str(POST)), activity("ada", id=str(REPLY), reply_to=str(POST))] * 2
    )

    run_once(system)

    assert list(system.database.users) == ["ada"]
    assert {key: row["replies_count"] for key, row in system.database.activities.items()} == {POST: 1, REPLY: 0}
    assert (system.events.messages, system.dead_letters) == ([], [])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("broken", "invalid_event"),
        (sign_up("ada", display_name=""), "invalid_event"),
        (body("user.left.v1", "1", {}), "unknown_type"),
    ],
)
def test_what_is_no_event_is_dead_at_once_with_its_reason(system: MemorySystem, message: str, reason: str) -> None:
    Queue(system.events_url, system.sqs.client).send([Outgoing(message, {"trace": text_attribute("mine")})])
    [sent] = system.events.messages
    system.send(sign_up("grace"))

    run_once(system)

    [letter] = system.dead_letters
    about = texts(letter.attributes)
    assert (letter.body, about["failure_reason"], about["trace"]) == (message, reason, "mine")
    assert (about["source_message_id"], about["receive_count"]) == (sent.id, "1")
    assert about["failure_detail"]
    assert about["failed_at"].endswith("Z")
    assert list(system.database.users) == ["grace"]
    assert not system.events.messages


def test_a_dead_letter_has_as_many_attributes_as_sqs_takes(system: MemorySystem) -> None:
    own = {f"attribute{n}": text_attribute(str(n)) for n in range(8)} | {"failure_reason": text_attribute("forged")}
    Queue(system.events_url, system.sqs.client).send([Outgoing("broken", own)])

    run_once(system)

    [letter] = system.dead_letters
    assert len(letter.attributes) == 10
    assert texts(letter.attributes)["failure_reason"] == "invalid_event"


def test_a_dead_letter_that_is_too_long_with_its_reason_is_kept_without(system: MemorySystem) -> None:
    long = "x" * 1_048_576
    system.send(long)

    run_once(system)

    [letter] = system.dead_letters
    assert (letter.body, letter.attributes) == (long, {})
    assert [line["reason"] for line in system.logged("dead_lettered")] == ["invalid_event"]
    assert not system.events.messages


def test_a_row_that_the_database_refuses_is_dead_and_its_neighbours_are_written(system: MemorySystem) -> None:
    refuse(system, "eve")
    system.send(*map(sign_up, ["ada", "eve", "grace"]))

    run_once(system)

    assert set(system.database.users) == {"ada", "grace"}
    [letter] = system.dead_letters
    assert letter.body == sign_up("eve")
    assert texts(letter.attributes)["failure_reason"] == "rejected_by_database"
    assert "23514" in texts(letter.attributes)["failure_detail"]


def refuse(system: MemorySystem, *names: str) -> None:
    """A constraint that these users violate."""

    def before(_: str, parameters: Mapping[str, Any]) -> None:
        if {*names} & {*parameters.get("cognito_user_ids", [])}:
            raise psycopg.errors.CheckViolation("a value that nobody should read")

    system.database.before = before


def test_who_can_be_given_no_handle_is_dead(system: MemorySystem) -> None:
    def before(name: str, parameters: Mapping[str, Any]) -> None:
        # Somebody has every handle that this one could be given.
        if name == "insert_users" and parameters["cognito_user_ids"] == ["eve"]:
            parameters["handles"][:] = ["ada"]

    system.send(sign_up("ada"))
    run_once(system)
    system.database.before = before
    system.send(sign_up("eve", handle="ada"))

    run_once(system)

    assert system.reasons() == ["rejected_by_database"]
    assert list(system.database.users) == ["ada"]


def test_a_handle_that_is_taken_is_reassigned_and_that_is_said(system: MemorySystem) -> None:
    system.send(sign_up("ada"))
    run_once(system)
    system.send(sign_up("eve", handle="Ada"))

    run_once(system)

    assert system.database.users["eve"]["handle"].startswith("Ada-")
    assert [line["event_id"] for line in system.logged("handle_reassigned")] == [id_for_logs("eve")]
    assert not system.dead_letters


def test_a_fault_that_does_not_pass_uses_up_the_attempts(system: MemorySystem) -> None:
    def before(name: str, parameters: Mapping[str, Any]) -> None:
        if name == "insert_users" and "ada" in parameters["cognito_user_ids"]:
            raise psycopg.errors.LockNotAvailable("somebody has a lock")

    system.database.before = before
    system.send(sign_up("ada"))

    system.worker()
    system.run_until_empty()

    [letter] = system.dead_letters
    about = texts(letter.attributes)
    assert (about["failure_reason"], about["receive_count"]) == ("attempts_exhausted", "5")
    assert "LockNotAvailable" in about["failure_detail"]
    assert [line["receive_count"] for line in system.logged("retried_later")] == [1, 2, 3, 4]


def test_nothing_that_people_wrote_is_logged(system: MemorySystem) -> None:
    refuse(system, "eve")
    secret = {"display_name": "Secret", "email": "secret@example.com", "handle": "secret"}
    system.send(sign_up("ada", **secret), sign_up("bob", **secret), sign_up("eve", **secret), '{"secret": 1}')
    system.send(activity("ada", "secret"), activity("nobody", "secret"))

    system.worker()
    system.run_until_empty()

    assert "secret" not in str(system.log).lower()
    assert system.reasons() == ["invalid_event", "rejected_by_database", "unknown_author"]
