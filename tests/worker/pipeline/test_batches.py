"""Batches: as large as the queue is long, and halved until what the database refuses is alone."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.events import sign_up
from tests.support.memory_system import MemorySystem, memory_system

Before = Callable[[str, Mapping[str, Any]], None]


def names(count: int) -> list[str]:
    return [f"user{n:03}" for n in range(count)]


def written(system: MemorySystem) -> list[int]:
    """How many users each insert that was committed had, in order; inserts are recorded from now on."""
    sizes: list[int] = []
    inserts: list[int] = []

    def before(name: str, parameters: Mapping[str, Any]) -> None:
        if name == "insert_users":
            inserts.append(len(parameters["cognito_user_ids"]))
        elif name == "commit":
            sizes.extend(inserts)
            inserts.clear()

    system.database.before = before
    return sizes


def failing(times: int, error: type[psycopg.Error], statement: str = "insert_users") -> Before:
    """So many statements fail, one after the other."""
    left = [times]

    def before(name: str, _: Mapping[str, Any]) -> None:
        if name == statement and left[0]:
            left[0] -= 1
            raise error("for a test")

    return before


def test_a_long_queue_is_written_in_full_batches(system: MemorySystem) -> None:
    sizes = written(system)
    system.send(*map(sign_up, names(1000)))

    system.worker(batch_size=100, threads=1)
    system.run_until_empty()

    assert len(system.database.users) == 1000
    # The first ones grow; SQS is asked for one, two, four and so on receives at a time only where it can be.
    assert len(sizes) <= 13
    assert max(sizes) == 100


def test_a_message_alone_is_written_at_once(system: MemorySystem) -> None:
    system.worker()
    system.clock.sleep(60)
    system.send(sign_up("ada"))
    began = system.clock.monotonic()

    system.run_until_empty()

    # It may have come just after a poll has ended, and its deletion waits a moment for others.
    assert system.clock.monotonic() - began < 0.1


@pytest.mark.parametrize("batch_size", [1, 3, 10, 25])
def test_no_batch_is_larger_than_is_allowed(system: MemorySystem, batch_size: int) -> None:
    sizes = written(system)
    system.send(*map(sign_up, names(60)))

    system.worker(batch_size=batch_size)
    system.run_until_empty()

    assert sum(sizes) == 60
    assert max(sizes) <= max(batch_size, 1)


@given(bad=st.sets(st.integers(min_value=0, max_value=39), max_size=6))
def test_exactly_those_that_are_refused_are_dead(bad: set[int]) -> None:
    refused = {f"user{n:03}" for n in bad}

    def before(_: str, parameters: Mapping[str, Any]) -> None:
        if refused & {*parameters.get("cognito_user_ids", [])}:
            raise psycopg.errors.StringDataRightTruncation("too long")

    with memory_system() as system:
        system.database.before = before
        system.send(*map(sign_up, names(40)))

        system.worker(batch_size=40)
        system.run_until_empty()

        assert {*system.database.users} == {*names(40)} - refused
        assert sorted(letter.body for letter in system.dead_letters) == sorted(map(sign_up, refused))
        assert all(letter.receive_count == 0 for letter in system.dead_letters)


def test_one_that_is_refused_costs_few_transactions(system: MemorySystem) -> None:
    transactions = [0]

    def before(name: str, parameters: Mapping[str, Any]) -> None:
        transactions[0] += name == "begin"
        if "user037" in parameters.get("cognito_user_ids", []):
            raise psycopg.errors.NotNullViolation("no")

    system.database.before = before
    system.send(*map(sign_up, names(64)))
    system.worker(batch_size=64, threads=1)

    system.run_until_empty()

    assert len(system.database.users) == 63
    # Halving 64 until one is alone takes 6 steps, of two transactions each; some receives come before the full batch.
    assert transactions[0] <= 2 * 6 + 6


@pytest.mark.parametrize("error", [psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected])
def test_a_conflict_is_tried_again_whole(system: MemorySystem, error: type[psycopg.Error]) -> None:
    sizes: list[int] = []
    fail = failing(3, error)

    def before(name: str, parameters: Mapping[str, Any]) -> None:
        if name == "insert_users":
            sizes.append(len(parameters["cognito_user_ids"]))
        fail(name, parameters)

    system.database.before = before
    system.send(*map(sign_up, names(8)))

    system.worker()
    system.run_until_empty()

    assert sizes == [8, 8, 8, 8]
    assert len(system.database.users) == 8
    assert not system.logged("retried_later")
    assert not system.logged("paused")


def test_conflicts_are_tried_again_at_growing_intervals(system: MemorySystem) -> None:
    """Who met once would meet again."""
    times: list[float] = []
    fail = failing(3, psycopg.errors.DeadlockDetected)

    def before(name: str, parameters: Mapping[str, Any]) -> None:
        if name == "insert_users":
            times.append(system.clock.monotonic())
        fail(name, parameters)

    system.database.before = before
    system.send(sign_up("ada"))

    system.worker()
    system.run_until_empty()

    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(pauses) == 3
    assert all(pause > 0 for pause in pauses)
    assert sum(pauses) < 1


def test_a_conflict_that_does_not_end_is_halved_and_then_put_off(system: MemorySystem) -> None:
    system.database.before = failing(4 + 4, psycopg.errors.SerializationFailure)
    system.send(*map(sign_up, names(2)))

    system.worker()
    system.run_until_empty()

    assert len(system.database.users) == 2
    assert [line["reason"] for line in system.logged("retried_later")] == ["attempts_exhausted"]
    assert not system.dead_letters


def test_a_commit_whose_answer_is_lost_is_made_again_and_does_no_harm(system: MemorySystem) -> None:
    system.database.lost_commits = 2
    system.send(*map(sign_up, names(20)))

    system.worker()
    system.run_until_empty()

    assert len(system.database.users) == 20
    assert not system.dead_letters
