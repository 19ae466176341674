"""Several receives at a time, as the lean client can: what they bring stays within the bounds."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.events import sign_up
from tests.support.memory_system import MemorySystem
from worker.pipeline import in_flight


def inserts_of(system: MemorySystem, seconds: float = 0.0) -> list[int]:
    """Each insert takes so long; how many users each one had, as they come."""
    sizes: list[int] = []

    def before(name: str, parameters: Mapping[str, Any]) -> None:
        if name == "insert_users":
            sizes.append(len(parameters["cognito_user_ids"]))
            system.clock.sleep(seconds)

    system.database.before = before
    return sizes


def held(system: MemorySystem) -> list[str]:
    """The bodies of the messages that have been received."""
    return [message.body for message in system.events.messages if message.receive_count]


@pytest.mark.parametrize("batch_size", [20, 50, 70])
def test_no_batch_of_several_receives_is_larger_than_is_allowed(system: MemorySystem, batch_size: int) -> None:
    sizes = inserts_of(system)
    system.send(*(sign_up(f"user{n}") for n in range(400)))

    system.worker(batch_size=batch_size, sqs_client="lean")
    system.run_until_empty()

    assert sum(sizes) == 400
    assert max(sizes) == batch_size


def test_no_more_is_held_than_may_be(system: MemorySystem) -> None:
    inserts_of(system, 60)
    system.send(*(sign_up(f"user{n}") for n in range(400)))

    system.worker(threads=8, writers=4, max_in_flight=100, batch_size=50, sqs_client="lean")
    system.clock.sleep(50)

    assert 50 <= len(held(system)) <= 100


def test_large_messages_do_not_fill_the_memory(system: MemorySystem) -> None:
    """What a receive will bring is not known, but what the last ones have brought is."""
    inserts_of(system, 3600)
    padding = "x" * 100_000
    system.send(*(sign_up(f"user{n}", email=f"{padding}{n}@example.com") for n in range(1000)))

    system.worker(threads=16, writers=4, batch_size=1000, max_in_flight=10_000, sqs_client="lean")
    system.clock.sleep(50)

    # The first receives are made before the size of the bodies is known.
    assert in_flight.MAX_BYTES / 2 <= sum(map(len, held(system))) <= 1.5 * in_flight.MAX_BYTES


def test_who_has_held_all_that_may_be_goes_on_when_there_is_room(system: MemorySystem) -> None:
    inserts_of(system, 0.01)
    system.send(*(sign_up(f"user{n}") for n in range(500)))

    system.worker(threads=2, max_in_flight=10, batch_size=10)
    system.run_until_empty(within=5)

    assert len(system.database.users) == 500
