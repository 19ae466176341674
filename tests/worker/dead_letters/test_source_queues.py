"""Dead letters of two source queues: each goes back to the one that it came from, by every command."""

import json
from pathlib import Path

import pytest

from signup_sync.sqs import Outgoing
from tests.support.dlq import Dlq
from tests.support.events import activity, sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.memory_sqs import MemorySqs
from tests.support.messages import dead_letter
from tests.support.virtual_clock import VirtualClock
from worker.aws.sqs import Queue, text_attribute
from worker.dead_letters.dead_letter_queue import DeadLetterQueue

POST = activity("ada")
FORGED = sign_up("eve")
SIGN_UP = sign_up("bob")

two_queues = pytest.mark.queues(activities=True)


def fill(dlq: Dlq) -> None:
    dlq.fill(POST, reason="unknown_author", source_queue="activities")
    dlq.fill(SIGN_UP)
    dlq.fill(FORGED, reason="wrong_queue", source_queue="activities")


def bodies(dlq: Dlq) -> dict[str, list[str]]:
    """What is where."""
    return {
        "events": dlq.event_bodies(),
        "activities": dlq.activity_bodies(),
        "dead": dlq.dead_bodies(),
    }


@two_queues
def test_each_is_replayed_to_its_own_queue_and_a_refused_sign_up_stays(dlq: Dlq) -> None:
    fill(dlq)

    done = dlq.run("replay")

    assert done.returncode == 1
    assert "it would fail again: type: only activity.created.v1 may come from the activities queue" in done.stdout
    assert bodies(dlq) == {"events": [SIGN_UP], "activities": [POST], "dead": [FORGED]}


@two_queues
def test_force_sends_a_refused_sign_up_where_it_is_refused_again(dlq: Dlq) -> None:
    fill(dlq)

    assert dlq.run("replay", "--force").returncode == 0

    assert bodies(dlq) == {"events": [SIGN_UP], "activities": sorted([POST, FORGED]), "dead": []}


@two_queues
def test_no_edit_makes_a_sign_up_of_what_came_from_the_activities_queue(dlq: Dlq) -> None:
    fill(dlq)
    sign_up_of_eve = ["--set", "type=user.signed_up.v1", "--set", f"data={json.dumps(json.loads(FORGED)['data'])}"]

    refused = dlq.run("edit", "--reason", "unknown_author", *sign_up_of_eve, "--yes")
    mended = dlq.run("edit", "--reason", "unknown_author", "--set", "data.message=hi", "--yes")

    assert refused.returncode == 2
    assert "the event would be invalid: type: only activity.created.v1 may come from the activities queue" in (
        refused.stderr
    )
    assert mended.returncode == 0
    assert json.loads(dlq.activity_bodies()[0])["data"]["message"] == "hi"
    assert dlq.event_bodies() == []


@two_queues
def test_a_file_keeps_where_its_dead_letters_came_from(dlq: Dlq, tmp_path: Path) -> None:
    fill(dlq)
    file = tmp_path / "dead.jsonl"
    assert dlq.run("delete", "--reason", "unknown_author", "--backup", str(file), "--yes").returncode == 0
    forged = tmp_path / "forged.jsonl"
    assert dlq.run("delete", "--reason", "wrong_queue", "--backup", str(forged), "--yes").returncode == 0

    imported, refused = dlq.run("import", str(file)), dlq.run("import", str(forged))
    forced = dlq.run("import", str(forged), "--force")

    assert (imported.returncode, refused.returncode, forced.returncode) == (0, 1, 0)
    assert bodies(dlq) == {"events": [], "activities": sorted([POST, FORGED]), "dead": [SIGN_UP]}


@two_queues
def test_the_same_message_of_two_queues_is_two(dlq: Dlq, tmp_path: Path) -> None:
    dlq.fill(POST, source_queue="activities")
    dlq.fill(POST)
    file = tmp_path / "dead.jsonl"
    dlq.run("delete", "--reason", "attempts_exhausted", "--backup", str(file), "--yes")

    dlq.run("import", str(file))

    assert bodies(dlq) == {"events": [POST], "activities": [POST], "dead": []}


def test_what_came_from_a_queue_that_is_not_named_goes_nowhere(dlq: Dlq, tmp_path: Path) -> None:
    fill(dlq)
    file = tmp_path / "dead.jsonl"
    dlq.run("export", str(file), "--reason", "unknown_author")

    replayed = dlq.run("replay", "--force", "--reason", "unknown_author", "--reason", "wrong_queue")
    dry = dlq.run("replay", "--dry-run", "--reason", "unknown_author")
    edited = dlq.run("edit", "--reason", "unknown_author", "--set", "data.message=hi", "--yes")
    imported = dlq.run("import", str(file))

    assert [done.returncode for done in (replayed, edited, imported)] == [1, 1, 1]
    for done in (replayed, dry, edited, imported):
        assert "it came from the activities queue: set ACTIVITIES_QUEUE_URL" in done.stdout
    assert dlq.event_bodies() == []
    assert len(dlq.dead_bodies()) == 3


@two_queues
def test_sqs_is_not_asked_to_move_what_came_from_two_queues(dlq: Dlq, proxy: FaultProxy) -> None:
    fill(dlq)
    proxy.answer("StartMessageMoveTask", {"TaskHandle": "a-handle"})
    with_one = Dlq(dlq.queues, proxy.endpoint_url)
    with_one.environment.pop("ACTIVITIES_QUEUE_URL")

    done = with_one.run("replay", "--force")

    assert done.returncode == 1
    assert not proxy.calls["StartMessageMoveTask"]
    assert bodies(dlq) == {"events": [SIGN_UP], "activities": [], "dead": sorted([POST, FORGED])}


@two_queues
def test_who_looks_is_told_where_it_came_from(dlq: Dlq) -> None:
    fill(dlq)

    assert {letter["reason"]: letter["source_queue"] for letter in dlq.json("list")} == {
        "unknown_author": "activities",
        "wrong_queue": "activities",
        "attempts_exhausted": "events",
    }


@two_queues
@pytest.mark.parametrize(
    ("name", "other"),
    [("ACTIVITIES_QUEUE_URL", "QUEUE_URL"), ("ACTIVITIES_QUEUE_URL", "DLQ_URL"), ("QUEUE_URL", "DLQ_URL")],
)
def test_two_settings_cannot_name_one_queue(dlq: Dlq, name: str, other: str) -> None:
    done = dlq.run("list", **{name: dlq.environment[other]})

    assert done.returncode == 2
    assert f"{name} and {other} are the same queue" in done.stderr


@two_queues
def test_an_activities_queue_with_other_dead_letters_is_named(dlq: Dlq) -> None:
    client, url = dlq.queues.client, dlq.queues.activities_url
    assert url is not None
    arn = client.get_queue_attributes(QueueUrl=dlq.queues.events_url, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": 3}
    client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)})

    done = dlq.run("replay")

    assert done.returncode == 2
    assert "DLQ_URL is not the dead-letter queue of ACTIVITIES_QUEUE_URL, which is" in done.stderr


def test_what_sqs_moved_is_of_the_queue_that_sqs_says_whatever_its_publisher_wrote() -> None:
    with VirtualClock() as clock:
        memory = MemorySqs(clock)
        events_url, dead_letters_url = memory.create(max_receive_count=1)
        activities_url = memory.add_source(dead_letters_url, max_receive_count=1)
        for url, claimed in ((events_url, "activities"), (activities_url, "events")):
            queue = Queue(url, memory.client)
            queue.send([Outgoing(url, {"source_queue": text_attribute(claimed), "own": text_attribute("x")})])
            queue.receive(wait_seconds=0, visibility_timeout=0)
            assert queue.receive(wait_seconds=0, visibility_timeout=0) == []
        dead_letters = DeadLetterQueue(dead_letters_url, memory.client, events_url)

        received = dead_letters.receive(wait_seconds=0, visibility_timeout=30)

    assert {message.body: set(message.attributes) for message in received} == {
        events_url: {"own"},
        activities_url: {"own", "source_queue"},
    }


@pytest.mark.parametrize(("written", "means"), [("activities", "activities"), ("events", "events"), ("?", "events")])
def test_without_the_attribute_it_is_the_events_queue(written: str, means: str) -> None:
    assert dead_letter(FORGED, source_queue=written).source_queue == means
    assert dead_letter(FORGED).source_queue == "events"
    assert "source_queue" not in dead_letter(FORGED, source_queue=written).original().attributes
