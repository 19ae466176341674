import time

from signup_sync.events import parse_event
from tests.support.messages import received
from tests.support.virtual_clock import VirtualClock
from worker.delivery import Delivery
from worker.pipeline.in_flight import MAX_BYTES, InFlight
from worker.text import id_for_logs

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

    held.forget([first])
    held.forget([second])

    assert len(held) == 0


def test_the_lease_counts_from_when_the_message_was_asked_for() -> None:
    held = in_flight(visibility_timeout=30)
    (delivery,) = held.admit([received()], received_at=100.0)

    assert held.lease_until(delivery) == 130.0


def test_a_message_that_comes_again_stays_one_delivery_with_the_newer_receipt_handle() -> None:
    held = in_flight(visibility_timeout=30)
    now = time.monotonic()
    older = received("m", receipt_handle="older")
    (delivery,) = held.admit([older], received_at=now)
    held.lost(older)

    again = held.admit([received("m", receipt_handle="newer"), received("other")], received_at=now + 100.0)

    assert [d.message.message_id for d in again] == ["other"]
    assert delivery.message is older, "a delivery belongs to its thread"
    assert held.receipt_handles([delivery]) == ["newer"]
    assert held.still_ours([delivery]) == [delivery]
    assert delivery.message.receipt_handle == "newer"
    assert held.lease_until(delivery) == now + 130.0
    assert len(held) == 2


def test_a_message_that_was_forgotten_is_a_new_delivery_when_it_comes_again() -> None:
    held = in_flight()
    (first,) = held.admit([received("m")], received_at=0.0)
    held.forget([first])

    (second,) = held.admit([received("m")], received_at=0.0)
    held.forget([first])  # a second time: it is no longer ours

    assert second is not first
    assert len(held) == 1
    assert held.lease_until(first) == float("-inf")


def test_there_is_no_room_while_as_many_are_held_as_may_be() -> None:
    held = in_flight(max_messages=2)
    assert held.wait_for_room(0)
    first, _ = held.admit([received(), received()], received_at=0.0)
    assert not held.wait_for_room(0)
    assert held.reserve(5, 0).calls == 0

    held.forget([first])

    assert held.wait_for_room(0)
    assert held.reserve(5, 0).calls == 1


def test_there_is_no_room_while_what_is_held_is_too_large() -> None:
    held = in_flight(max_messages=1000)
    half = "x" * (MAX_BYTES // 2)
    first, second = held.admit([received(body=half), received(body=half)], received_at=0.0)
    assert not held.wait_for_room(0)
    assert held.reserve(1, 0).calls == 0

    held.forget([first])
    held.forget([first])
    assert held.wait_for_room(0)

    held.forget([second])
    assert len(held) == 0


def test_the_bytes_that_may_be_held_can_be_fewer() -> None:
    held = InFlight(1000, 30, max_bytes=10)
    assert held.reserve(2, 0).calls == 2

    held.admit([received(body="x" * 10)], received_at=0.0)

    assert held.reserve(1, 0).calls == 0


def test_receives_at_the_same_time_have_room_for_all_that_they_may_bring() -> None:
    held = in_flight(max_messages=100)
    first = held.reserve(7, 0)
    second = held.reserve(7, 0)
    assert (first.calls, second.calls) == (7, 3)
    assert held.reserve(1, 0).calls == 0
    assert not held.wait_for_room(0)

    held.release(second)

    assert held.reserve(7, 0).calls == 3


def test_receives_of_large_messages_are_few() -> None:
    held = in_flight(max_messages=1000)
    large = MAX_BYTES // 35

    assert held.reserve(10, large).calls == 3  # of ten messages each
    assert held.reserve(10, large).calls == 1  # for what is left


def waiting(held: InFlight, clock: VirtualClock) -> list[tuple[bool, float]]:
    """A thread waits for room, for up to 30 seconds; whether there was some, and when."""
    ended: list[tuple[bool, float]] = []
    clock.thread("waiting", lambda: ended.append((held.wait_for_room(30), clock.passed)))
    clock.sleep(1)
    assert not ended
    return ended


def test_who_waits_for_room_is_woken_when_there_is_some() -> None:
    with VirtualClock() as clock:
        held = InFlight(1, 30, clock)
        (delivery,) = held.admit([received()], received_at=0.0)
        ended = waiting(held, clock)

        held.forget([delivery])

        clock.sleep(1)
        assert ended == [(True, 1.0)]


def test_who_waits_for_room_is_woken_when_a_receive_brought_nothing() -> None:
    with VirtualClock() as clock:
        held = InFlight(10, 30, clock)
        room = held.reserve(1, 0)
        ended = waiting(held, clock)

        held.release(room)

        clock.sleep(1)
        assert ended == [(True, 1.0)]


def test_leases_that_end_are_found_and_those_that_are_lost_are_not() -> None:
    held = in_flight(visibility_timeout=30)
    early, lost = received(), received()
    held.admit([early, lost], received_at=0.0)
    held.admit([received()], received_at=100.0)
    held.lost(lost)

    assert held.ending_before(30.0) == []
    assert held.ending_before(31.0) == [early]


def test_a_lease_that_was_extended_ends_later() -> None:
    held = in_flight(visibility_timeout=30)
    message = received()
    (delivery,) = held.admit([message], received_at=0.0)

    held.extended([message], until=200.0)

    assert held.lease_until(delivery) == 200.0
    assert held.ending_before(199.0) == []


def test_what_was_lost_or_has_run_out_is_ours_no_longer() -> None:
    held = in_flight(visibility_timeout=30)
    now = time.monotonic()
    lost, fine = received(), received()
    deliveries = held.admit([lost, fine], received_at=now)
    deliveries += held.admit([received()], received_at=now - 31.0)
    assert held.lost(lost) is deliveries[0]

    assert held.still_ours(deliveries) == [deliveries[1]]

    assert len(held) == 1


def test_news_of_an_older_receipt_handle_says_nothing_of_the_newer_one() -> None:
    held = in_flight(visibility_timeout=30)
    older = received("m", receipt_handle="older")
    (delivery,) = held.admit([older], received_at=0.0)
    held.admit([received("m", receipt_handle="newer")], received_at=100.0)

    held.extended([older], until=500.0)

    assert held.lost(older) is None
    assert held.lease_until(delivery) == 130.0


def test_what_is_logged_of_a_delivery_is_nothing_personal() -> None:
    delivery = Delivery(received("m", SIGN_UP), received_at=0.0)
    assert delivery.describe() == {"event_id": None, "event_type": None, "message_id": "m", "receive_count": 1}

    delivery.event = parse_event(SIGN_UP)

    assert delivery.describe() == {
        "event_id": id_for_logs("sub-1"),
        "event_type": "user.signed_up.v1",
        "message_id": "m",
        "receive_count": 1,
    }
