"""Whatever is in a message, it becomes a row or a dead letter with a reason, and never an exception."""

import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.pool import connect
from db.tables.activities import NewActivity, insert_activities
from db.tables.deletions import Deletion, delete_users
from db.tables.users import NewProfile, NewUser, insert_users, update_users
from signup_sync.events import (
    EVENT_TYPES,
    ActivityCreated,
    Event,
    InvalidEvent,
    UserDeleted,
    UserSignedUp,
    UserUpdated,
    parse_event,
)
from signup_sync.sqs import MESSAGE_BYTES
from tests.faults.bad_bodies import MARKER, mutated, written_by_hand
from tests.support.sqs import Queues
from tests.support.tables import activities, names, users
from tests.support.worker_process import WorkerProcess
from worker.aws.sqs import Received
from worker.dead_letters.dead_letter import DeadLetter

T = TypeVar("T")

PARSED = 20_000  # bodies
THROUGH_THE_WORKER = 300  # bodies
BATCH = 100  # rows
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
FUZZING_TIME = float(os.environ.get("FAULTS_FUZZING_SECONDS") or 600)
# SQS API Reference, SendMessage, "Message contents".
_not_allowed = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]").search
SEED = int(os.environ.get("FAULTS_SEED") or 1)


def assert_understood(body: str) -> None:
    """It is an event that Postgres can hold, or invalid in one line that quotes nothing of it."""
    try:
        event = parse_event(body)
    except InvalidEvent as error:
        detail = str(error)
        assert detail.isprintable(), body
        assert MARKER not in detail, body
        assert 0 < len(detail) < 1000, body
    else:
        assert "\0" not in event.model_dump_json()
        assert 1 <= event.time.year <= 9999


def reason_to_refuse(body: str) -> str | None:
    try:
        parse_event(body)
    except InvalidEvent as error:
        return "unknown_type" if error.unknown_type else "invalid_event"
    return None


def test_twenty_thousand_bodies_are_events_or_invalid() -> None:
    by_hand = written_by_hand()
    bodies = [*by_hand, *islice(mutated(SEED), PARSED - len(by_hand))]
    outcomes: Counter[str] = Counter()
    for body in bodies:
        assert_understood(body)
        # What an operator's list would say of it must not fail either.
        letter = DeadLetter(Received("id", "handle", body, 1, {}))
        outcomes["invalid" if letter.problem else "valid"] += 1
        assert letter.event_type.isprintable()
        assert (letter.event_id or "").isprintable()

    assert outcomes.total() == PARSED
    # Neither side is a matter of course: the mutations must not be so wild that nothing is read any further.
    assert min(outcomes.values()) > 1000


def test_what_the_contract_takes_the_database_takes(database_url: str) -> None:
    """Or else whoever finds a text in between has every batch halved again and again."""
    events = [parse_event(body) for body in islice(mutated(SEED), PARSED) if reason_to_refuse(body) is None]
    posts = [new_activity(event) for event in events if isinstance(event, ActivityCreated)]
    profiles = [new_profile(event) for event in events if isinstance(event, UserUpdated)]
    deletions = [deletion(event) for event in events if isinstance(event, UserDeleted)]
    needed = dict.fromkeys(
        [*(post.cognito_user_id for post in posts), *(profile.cognito_user_id for profile in profiles)]
    )
    authors = [NewUser(name, "Author", f"author{n}", None, LONG_AGO) for n, name in enumerate(needed)]
    people = [*authors, *(new_user(event) for event in events if isinstance(event, UserSignedUp))]
    with connect(database_url) as connection:
        for batch in batches(people):
            assert not insert_users(connection, batch).refused
        for changes in batches(profiles):
            changed = update_users(connection, changes)
            assert not changed.refused | changed.unknown
        written = insert_activities(connection, posts)
        for batch_of_deletions in batches(deletions):
            delete_users(connection, batch_of_deletions)

    everybody = {user.cognito_user_id for user in people} | {gone.cognito_user_id for gone in deletions}
    assert len(names(database_url)) == len(everybody) > 1000
    assert len(written.inserted | written.without_parent) == len({post.uuid for post in posts}) > 300
    assert not written.without_author
    assert min(len(profiles), len(deletions)) > 300


def batches(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


def new_user(event: UserSignedUp) -> NewUser:
    data = event.data
    return NewUser(data.cognito_user_id, data.display_name, data.handle, data.email, event.time, data.attributes)


def new_profile(event: UserUpdated) -> NewProfile:
    data = event.data
    name, handle = data.display_name, data.handle
    return NewProfile(event.id, data.cognito_user_id, name, handle, data.email, event.time, data.attributes)


def deletion(event: UserDeleted) -> Deletion:
    return Deletion(event.data.cognito_user_id, event.time, event.data.activities == "erase")


def new_activity(event: ActivityCreated) -> NewActivity:
    data = event.data
    reply_to = data.reply_to_activity_uuid
    return NewActivity(event.id, data.cognito_user_id, data.message, reply_to, data.expires_at, event.time)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=1500)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "specversion": st.just("1.0") | json_values,
            "id": st.uuids().map(str) | json_values,
            "source": json_values,
            "type": st.sampled_from(EVENT_TYPES) | json_values,
            "time": st.datetimes().map(lambda time: f"{time.isoformat()}Z") | json_values,
            "data": st.dictionaries(
                st.sampled_from(["cognito_user_id", "handle", "attributes", "message"]), json_values
            )
            | json_values,
        },
    )
)
def test_whatever_json_there_is_it_is_understood(event: dict[str, object]) -> None:
    assert_understood(json.dumps(event))


WAITED: dict[type[Event], tuple[str, ...]] = {
    ActivityCreated: ("unknown_author", "unknown_parent"),
    UserUpdated: ("unknown_user",),
}


def takes(body: str) -> bool:
    """Whether SQS would carry it."""
    try:
        size = len(body.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size < MESSAGE_BYTES - 1000 and not _not_allowed(body)


def test_hundreds_of_them_become_rows_or_dead_letters(
    queues: Queues, database_url: str, drain: Callable[..., WorkerProcess]
) -> None:
    by_hand = [body for body in written_by_hand() if takes(body)]
    chosen = by_hand[:: len(by_hand) // (THROUGH_THE_WORKER // 2)]
    random_ones = islice(filter(takes, mutated(SEED + 1)), THROUGH_THE_WORKER - len(chosen))
    bodies = list(dict.fromkeys([*chosen, *random_ones]))
    for body in bodies:  # one by one: together some would be too long for a batch
        queues.client.send_message(QueueUrl=queues.events_url, MessageBody=body)

    worker = drain(MAX_ATTEMPTS="1")

    assert queues.counts() == (0, 0, 0)
    reasons = {letter.body: letter.attributes["failure_reason"] for letter in queues.dead_letters()}
    people = {row[0] for row in users(database_url)}
    posts = {row[0] for row in activities(database_url)}
    for body in bodies:
        if refusal := reason_to_refuse(body):
            assert reasons[body] == refusal, body
            continue
        event = parse_event(body)
        written = event.id in posts if isinstance(event, ActivityCreated) else event.data.cognito_user_id in people
        # An activity of nobody is dead, too, and so is a change.
        assert written != (reasons.get(body) in WAITED.get(type(event), ())), body
    assert set(reasons) <= set(bodies)
    # Rows of people whom nobody sent would be as bad.
    assert len(people) <= len(bodies)
    assert worker.events("crashed") == []
    for line in worker.lines:
        assert line.isprintable()


@pytest.mark.slow
def test_fuzzed_for_a_while() -> None:
    """The reader of JSON is compiled, and has been fuzzed by its own people: what is ours is what comes after."""
    ends = time.monotonic() + FUZZING_TIME
    tried = 0
    for body in mutated(SEED + 2):
        assert_understood(body)
        tried += 1
        if time.monotonic() > ends:
            break
    print(f"{tried} bodies")  # noqa: T201 (the figure is what it is run for)
    assert tried > 1000
