from concurrent.futures import ThreadPoolExecutor

from tests.worker.messages import received
from worker.events import parse_event
from worker.in_flight import MAX_BYTES, Delivery, InFlight

SIGN_UP = (
    '{"specversion": "1.0", "id": "sub-1", "source": "/x", "type": "user.signed_up.v1", '
    '"time": "2026-01-31T12:00:00Z", "data": {"cognito_user_id": "sub-1", "display_name": "Ada", "handle": "ada"}}'
)


def in_flight(max_messages: int = 10, visibility_timeout: int = 30) -> InFlight:
    return InFlight(max_messages, visibility_timeout)


def test_what_is_admitted_is_held_until_it_is_forgotten() -> None:
    held = in_flight()
    first, second = held.admit([received(), received()], received_at=0.0)
    assert len(held) == 2

    held.forget(first)
    held.forget(second)

    assert len(held) == 0


def test_the_lease_counts_from_when_the_message_was_asked_for() -> None:
    (delivery,) = in_flight(visibility_timeout=30).admit([received()], received_at=100.0)

    assert delivery.lease_until == 130.0


def test_a_message_that_comes_again_stays_one_delivery_with_the_newer_receipt_handle() -> None:
    held = in_flight(visibility_timeout=30)
    (delivery,) = held.admit([received("m", receipt_handle="older")], received_at=100.0)
    delivery.lease_lost = True

    again = held.admit([received("m", receipt_handle="newer"), received("other")], received_at=200.0)

    assert [d.message.message_id for d in again] == ["other"]
    assert (delivery.message.receipt_handle, delivery.lease_until, delivery.lease_lost) == ("newer", 230.0, False)
    assert len(held) == 2


def test_a_message_that_was_forgotten_is_a_new_delivery_when_it_comes_again() -> None:
    held = in_flight()
    (first,) = held.admit([received("m")], received_at=0.0)
    held.forget(first)

    (second,) = held.admit([received("m")], received_at=0.0)
    held.forget(first)  # a second time: it is no longer ours

    assert second is not first
    assert len(held) == 1
    assert not held.all_written


def test_there_is_no_room_while_as_many_are_held_as_may_be() -> None:
    held = in_flight(max_messages=2)
    assert held.wait_for_room(0)
    first, _ = held.admit([received(), received()], received_at=0.0)
    assert not held.wait_for_room(0)

    held.written(first)
    assert not held.wait_for_room(0)  # it is still held

    held.forget(first)
    assert held.wait_for_room(0)


def test_there_is_no_room_while_what_is_held_is_too_large() -> None:
    held = in_flight(max_messages=1000)
    half = "x" * (MAX_BYTES // 2)
    first, second = held.admit([received(body=half), received(body=half)], received_at=0.0)
    assert not held.wait_for_room(0)

    held.forget(first)
    held.forget(first)
    assert held.wait_for_room(0)
    held.forget(second)

    held.admit([received(body=half)], received_at=0.0)
    assert held.wait_for_room(0)  # forgetting twice has not been counted twice


def test_whoever_waits_for_room_is_woken_when_there_is_some() -> None:
    held = in_flight(max_messages=1)
    (delivery,) = held.admit([received()], received_at=0.0)
    with ThreadPoolExecutor() as executor:
        waiting = executor.submit(held.wait_for_room, 30)
        held.forget(delivery)
        assert waiting.result()


def test_all_is_written_when_each_outcome_is_known() -> None:
    held = in_flight()
    first, second = held.admit([received(), received()], received_at=0.0)
    held.written(first)
    held.written(first)
    assert not held.all_written
    assert not held.wait_until_all_written(0)

    with ThreadPoolExecutor() as executor:
        waiting = executor.submit(held.wait_until_all_written, 30)
        held.forget(second)  # with whatever outcome
        assert waiting.result()

    assert held.all_written
    assert len(held) == 1


def test_leases_that_end_are_found_and_those_that_are_lost_are_not() -> None:
    held = in_flight(visibility_timeout=30)
    early, lost = held.admit([received(), received()], received_at=0.0)
    held.admit([received()], received_at=100.0)
    lost.lease_lost = True

    assert held.with_lease_until(30.0) == []
    assert held.with_lease_until(31.0) == [early]


def test_what_is_logged_of_a_delivery_is_nothing_personal() -> None:
    delivery = Delivery(received("m", SIGN_UP), lease_until=0.0)
    assert delivery.describe() == {"event_id": None, "event_type": None, "message_id": "m", "receive_count": 1}

    delivery.event = parse_event(SIGN_UP)

    assert delivery.describe() == {
        "event_id": "sub-1",
        "event_type": "user.signed_up.v1",
        "message_id": "m",
        "receive_count": 1,
    }
