"""What a user's events make of their row, in whatever order they come: sign-up, changes, activities, deletion."""

import json
import uuid
from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.events import MUCH_LATER, activity, deleted, sign_up, updated
from tests.support.memory_system import MemorySystem, memory_system

POST, REPLY, LATE = (str(uuid.UUID(int=number)) for number in (1, 2, 3))


def run_once(system: MemorySystem, **settings: Any) -> None:
    """A worker, until the queue is empty and the worker has ended."""
    worker = system.worker(until_empty=True, **settings)
    system.clock.run_until(lambda: not worker.running)
    assert worker.succeeded


def test_a_profile_is_what_the_newest_event_says(system: MemorySystem) -> None:
    system.send(sign_up("ada"), updated("ada", handle="lovelace", email=None, attributes={"locale": "en"}))

    run_once(system)

    user = system.database.users["ada"]
    assert (user["handle"], user["email"], user["attributes"]) == ("lovelace", None, {"locale": "en"})
    assert (system.events.messages, system.dead_letters) == ([], [])


def test_a_profile_waits_for_its_sign_up(system: MemorySystem) -> None:
    worker = system.worker()
    system.send(updated("ada", handle="lovelace"))
    system.clock.run_until(lambda: bool(system.logged("retried_later")))
    [line] = system.logged("retried_later")
    assert line["reason"] == "unknown_user"

    system.send(sign_up("ada"))
    system.clock.run_until(lambda: bool(system.database.users) and not system.events.messages)

    assert system.database.users["ada"]["handle"] == "lovelace"
    assert worker.running


def test_a_profile_of_nobody_is_a_dead_letter_that_says_so(system: MemorySystem) -> None:
    system.send(updated("nobody"))

    worker = system.worker()
    system.clock.run_until(lambda: bool(system.dead_letters))

    [letter] = system.dead_letters
    assert letter.attributes["failure_reason"]["StringValue"] == "unknown_user"
    assert worker.running


def test_nothing_of_a_deleted_user_comes_back(system: MemorySystem) -> None:
    system.send(sign_up("ada"), sign_up("bob"), activity("ada", "secret", id=POST), deleted("ada"))
    run_once(system)

    system.send(
        sign_up("ada"),
        updated("ada", time="2030-01-01T00:00:00Z"),
        activity("ada", "late", id=LATE),
        deleted("ada", "keep"),
        activity("bob", "to a ghost", id=REPLY, reply_to=POST),
    )
    run_once(system)

    ada = system.database.users["ada"]
    assert (ada["handle"], ada["display_name"], ada["email"]) == (None, None, None)
    assert ada["deleted_at"] == datetime.fromisoformat(MUCH_LATER)
    posts = {str(key): row["message"] for key, row in system.database.activities.items()}
    assert posts == {POST: None, REPLY: "to a ghost"}
    assert (system.events.messages, system.dead_letters) == ([], [])


def test_what_waits_for_an_author_who_is_deleted_instead_is_done(system: MemorySystem) -> None:
    system.send(activity("ada"))
    system.worker()
    system.clock.run_until(lambda: bool(system.logged("retried_later")))

    system.send(deleted("ada"))
    system.clock.run_until(lambda: not system.events.messages)

    assert (system.database.activities, system.dead_letters) == ({}, [])


def test_the_log_says_nothing_of_anybody(system: MemorySystem) -> None:
    system.send(
        sign_up("ada"), sign_up("bob", handle="ada"), updated("bob", handle="ada", attributes={"custom:x": "secret"})
    )

    run_once(system)

    assert len(system.logged("handle_reassigned")) == 2
    assert "secret" not in json.dumps(system.log, default=str)


EVENTS = [
    sign_up("ada"),
    sign_up("ada"),
    updated("ada", id=str(uuid.UUID(int=11)), handle="ada-1"),
    updated("ada", id=str(uuid.UUID(int=12)), handle="ada-2"),
    sign_up("bob"),
    updated("bob", id=str(uuid.UUID(int=13)), display_name="Robert"),
    updated("bob", id=str(uuid.UUID(int=14)), display_name="Bobby", time="2026-01-31T12:30:00Z"),
    activity("bob", "hello", id=POST),
    activity("bob", "and again", id=REPLY, reply_to=POST),
    sign_up("eve"),
    updated("eve", id=str(uuid.UUID(int=15)), handle="mallory"),
    deleted("eve"),
    deleted("eve", "keep", time="2026-01-31T13:30:00Z"),
]


@given(order=st.permutations(EVENTS), copies=st.lists(st.sampled_from(EVENTS), max_size=5), cuts=st.integers(1, 6))
def test_any_order_with_copies_leaves_the_same_tables(order: list[str], copies: list[str], cuts: int) -> None:
    """Whose activities are written before they are deleted depends on the order, and on nothing else: they are not in
    it. A change of somebody who is deleted before they were there waits for nobody."""
    assert _tables([*order, *copies], cuts) == _tables(EVENTS, 1)


def _tables(events: list[str], cuts: int) -> tuple[Any, Any]:
    with memory_system() as system:
        worker = system.worker()
        size = -(-len(events) // cuts)
        for start in range(0, len(events), size):
            system.send(*events[start : start + size])
            system.clock.sleep(1)
        system.clock.run_until(lambda: not system.events.messages)
        assert worker.running
        assert system.dead_letters == []
        users = {name: _without_uuid(row) for name, row in system.database.users.items()}
        posts = {key: {**row, "user_uuid": None} for key, row in system.database.activities.items()}
        return users, posts


def _without_uuid(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "uuid": None}
