"""`signup-sync dlq replay`: back to the events queue, each message in one place at least."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from tests.support.dlq import Dlq, people
from tests.support.events import sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.sqs import REGION
from tests.support.wait import wait_until
from worker.aws.sqs import MoveTasks, Queue, Received
from worker.dead_letters import redrive
from worker.dead_letters.dead_letter import DeadLetter
from worker.dead_letters.requeue import Requeue, Result
from worker.dead_letters.source_queues import SourceQueues

DLQ_ARN = f"arn:aws:sqs:{REGION}:123456789012:events-dlq"
EVENTS_ARN = f"arn:aws:sqs:{REGION}:123456789012:events"


def test_the_original_event_is_sent_and_its_attempts_start_anew(dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"), reason="unknown_author")

    done = dlq.run("replay")

    assert (done.returncode, done.stdout) == (0, "replayed\tunknown_author\t1\n")
    [message] = dlq.queues.client.receive_message(
        QueueUrl=dlq.queues.events_url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
    )["Messages"]
    assert message["Body"] == sign_up("ada")
    assert {name: value["StringValue"] for name, value in message["MessageAttributes"].items()} == {"tenant": "north"}
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert dlq.queues.dead_letter_count() == 0


def test_what_would_fail_again_is_left_and_named_unless_forced(dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"), reason="unknown_author")
    [broken] = dlq.fill(sign_up("bob", handle="a b"), reason="invalid_event")

    dry = dlq.run("replay", "--dry-run")
    assert dry.returncode == 0
    assert dlq.visible() == 2
    done = dlq.run("replay")

    assert done.returncode == 1
    assert f"left {broken} (invalid_event): it would fail again: data.handle: must be visible" in done.stdout
    assert dlq.event_bodies() == [sign_up("ada")]
    assert dlq.dead_bodies() == [sign_up("bob", handle="a b")]
    forced = dlq.json("replay", "--force", "--reason", "invalid_event")
    assert [line["outcome"] for line in forced] == ["replayed"]
    assert dlq.event_bodies() == [sign_up("bob", handle="a b")]


def test_filters_choose_what_goes(dlq: Dlq) -> None:
    dlq.fill(*people(3), reason="unknown_author")
    dlq.fill(sign_up("ada"), reason="attempts_exhausted")

    assert dlq.run("replay", "--reason", "unknown_author", "--limit", "2", "--rate", "50").returncode == 0

    assert len(dlq.event_bodies()) == 2
    assert dlq.visible() == 2


def test_what_fails_again_meanwhile_is_left_for_the_next_time(dlq: Dlq, proxy: FaultProxy) -> None:
    """Or else a replay and a worker would pass it back and forth without end."""
    dlq.fill(sign_up("ada"))
    proxy.delay("ReceiveMessage", 8.0, times=1)

    def fail_again() -> None:
        wait_until(lambda: proxy.calls["ReceiveMessage"], 20, "it does not receive")
        began = int(time.time())  # SQS's clock is read in whole seconds
        wait_until(lambda: time.time() > began + 1, 20, "the clock stands still")
        dlq.fill(sign_up("bob"))
        proxy.clear()

    with ThreadPoolExecutor() as others:
        other = others.submit(fail_again)
        done = Dlq(dlq.queues, proxy.endpoint_url).run("replay", "--force", "--limit", "5")
        other.result()

    assert done.returncode == 0
    assert "it failed while this was running" in done.stdout
    assert dlq.event_bodies() == [sign_up("ada")]
    assert dlq.dead_bodies() == [sign_up("bob")]


def test_a_message_is_deleted_only_once_its_own_send_was_acknowledged(dlq: Dlq, proxy: FaultProxy) -> None:
    bodies = people(14)
    dlq.fill(*bodies)
    proxy.fail_entries("SendMessageBatch", 0.5)
    proxy.fail_entries("DeleteMessageBatch", 0.5)

    done = Dlq(dlq.queues, proxy.endpoint_url).run("replay")

    assert done.returncode == 0
    assert dlq.event_bodies() == bodies
    assert dlq.queues.dead_letter_count() == 0


def test_what_sqs_does_not_take_stays_and_is_named(dlq: Dlq, proxy: FaultProxy) -> None:
    bodies = people(20)
    dlq.fill(*bodies)
    proxy.fail_entries("SendMessageBatch", 0.3, code="InvalidMessageContents", sender_fault=True)

    done = Dlq(dlq.queues, proxy.endpoint_url).run("replay")

    assert done.returncode == 1
    assert done.stdout.count("SQS did not take it: InvalidMessageContents") == 6
    assert sorted(dlq.event_bodies() + dlq.dead_bodies()) == bodies
    assert dlq.held() == 0


@pytest.mark.parametrize("action", ["SendMessageBatch", "DeleteMessageBatch"])
def test_without_permission_nothing_is_lost(dlq: Dlq, proxy: FaultProxy, action: str) -> None:
    bodies = people(30)
    dlq.fill(*bodies)
    proxy.fail(action, status=403, code="AccessDeniedException")

    done = Dlq(dlq.queues, proxy.endpoint_url).run("replay")

    assert done.returncode == 2
    assert f"(needs sqs:{action.removesuffix('Batch')})" in done.stderr
    assert done.stderr.count("\n") == 1
    assert dlq.dead_bodies() == bodies
    assert dlq.held() == 0


def test_an_answer_that_is_lost_duplicates_and_never_loses(dlq: Dlq, proxy: FaultProxy) -> None:
    bodies = people(40)
    dlq.fill(*bodies)
    proxy.drop_response("SendMessageBatch", times=2)
    proxy.drop_response("DeleteMessageBatch", times=2)

    assert Dlq(dlq.queues, proxy.endpoint_url).run("replay").returncode == 0

    sent = Counter(dlq.event_bodies())
    assert sorted(sent) == bodies
    assert sent.total() == 60
    assert dlq.queues.dead_letter_count() == 0


def test_what_is_no_longer_ours_is_not_sent(dlq: Dlq) -> None:
    """Its lease is over: somebody else may be editing it."""
    letters = [DeadLetter(Received(name, "handle", sign_up(name), 1, {})) for name in ("ada", "bob")]
    results: list[Result[DeadLetter]] = []

    class Source:
        def has(self, key: str) -> bool:
            return key == "ada"

        def let_go(self, keys: Sequence[str]) -> dict[str, str]:
            assert keys == ["ada"]
            return {}

    queues = SourceQueues({"events": Queue(dlq.queues.events_url, dlq.queues.client)})
    with Requeue(queues, Source(), results.append) as transfer:
        for letter in letters:
            transfer.add(letter, letter.original())

    assert {(result.entry.id, result.sent) for result in results} == {("ada", True), ("bob", False)}
    assert dlq.event_bodies() == [sign_up("ada")]


def test_an_interrupted_replay_ends_between_messages(dlq: Dlq, proxy: FaultProxy) -> None:
    bodies = people(150)
    dlq.fill(*bodies)
    proxy.delay("SendMessageBatch", 10.0, after=2)
    with Dlq(dlq.queues, proxy.endpoint_url).start("replay") as replay:
        wait_until(lambda: proxy.calls["SendMessageBatch"] >= 3, 20, "nothing is replayed")
        replay.send_signal(signal.SIGINT)
        proxy.clear()
        _, errors = replay.communicate(timeout=20)

    assert replay.returncode == 130
    assert errors == "signup-sync: interrupted: what was held is visible again\n"
    assert dlq.held() == 0
    sent, left = dlq.event_bodies(), dlq.dead_bodies()
    assert sorted(sent + left) == bodies
    assert len(sent) >= 20
    assert left


def test_two_replays_at_once_send_everything(dlq: Dlq) -> None:
    bodies = people(150)
    dlq.fill(*bodies)
    with dlq.start("replay") as first, dlq.start("replay") as second:
        first.communicate(timeout=60)
        second.communicate(timeout=60)

    assert (first.returncode, second.returncode) == (0, 0)
    # A queue may give a message to both (moto does if they ask in the same moment, SQS hardly ever).
    assert sorted(set(dlq.event_bodies())) == bodies
    assert dlq.queues.dead_letter_count() == 0


def test_a_kill_in_the_middle_of_a_replay_loses_nothing(dlq: Dlq, proxy: FaultProxy) -> None:
    """Killed while sends are under way. What it held is visible after 15 seconds: another replay then does the rest, in
    `tests/faults/test_crash_points.py`."""
    bodies = people(60)
    dlq.fill(*bodies)
    proxy.hang("SendMessageBatch", after=2)
    with Dlq(dlq.queues, proxy.endpoint_url).start("replay", "--rate", "100") as replay:
        wait_until(lambda: proxy.calls["SendMessageBatch"] >= 3, 20, "nothing is replayed")
        replay.kill()
        replay.communicate(timeout=20)

    sent = dlq.event_bodies()
    assert len(set(sent)) == len(sent) == 20
    assert dlq.queues.dead_letter_count() >= 40


def test_a_kill_in_the_middle_of_an_edit_loses_nothing(dlq: Dlq, tmp_path: Path) -> None:
    [ada] = dlq.fill(sign_up("ada"))
    editing = tmp_path / "editing"
    editor = f"sh -c 'touch {editing}; exec sleep 1000'"
    with dlq.start("edit", ada, TMPDIR=str(tmp_path), EDITOR=editor) as edit:
        wait_until(editing.exists, 20, "no editor")
        os.killpg(edit.pid, signal.SIGKILL)
        edit.communicate(timeout=20)

    assert (dlq.held(), dlq.queues.dead_letter_count()) == (1, 1)
    assert dlq.event_bodies() == []


MOVED = {"Status": "COMPLETED", "SourceArn": DLQ_ARN, "ApproximateNumberOfMessagesMoved": 7}
RUNNING = {
    "TaskHandle": "a-handle",
    "Status": "RUNNING",
    "SourceArn": DLQ_ARN,
    "DestinationArn": EVENTS_ARN,
    "ApproximateNumberOfMessagesMoved": 3,
    "ApproximateNumberOfMessagesToMove": 7,
    "StartedTimestamp": 1442428276921,
}


@pytest.fixture
def stubber() -> Iterator[tuple[Stubber, MoveTasks]]:
    """Answers that have the documented shapes, or the stubber does not take them."""
    client = boto3.client("sqs", region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing")
    with closing(client), Stubber(client) as stubber:
        yield stubber, MoveTasks(DLQ_ARN, client)
        stubber.assert_no_pending_responses()


LATEST = {"SourceArn": DLQ_ARN, "MaxResults": 1}


def test_sqs_is_told_to_move_and_is_watched(stubber: tuple[Stubber, MoveTasks]) -> None:
    stub, tasks = stubber
    stub.add_response("list_message_move_tasks", {"Results": []}, LATEST)
    start = {"SourceArn": DLQ_ARN, "DestinationArn": EVENTS_ARN, "MaxNumberOfMessagesPerSecond": 500}
    stub.add_response("start_message_move_task", {"TaskHandle": "a-handle"}, start)
    stub.add_response("list_message_move_tasks", {}, LATEST)
    stub.add_response("list_message_move_tasks", {"Results": [RUNNING]}, LATEST)
    stub.add_response("list_message_move_tasks", {"Results": [MOVED]}, LATEST)

    assert redrive.start(tasks, EVENTS_ARN, rate=900)
    seen = [(task.status, task.moved, task.to_move) for task in redrive.follow(tasks, interval=0)]

    assert seen == [("RUNNING", 3, 7), ("COMPLETED", 7, None)]


def test_a_move_that_is_under_way_is_as_good(stubber: tuple[Stubber, MoveTasks]) -> None:
    stub, tasks = stubber
    stub.add_response("list_message_move_tasks", {"Results": [RUNNING]}, LATEST)

    assert redrive.start(tasks, EVENTS_ARN, rate=None)


def test_a_move_can_be_cancelled(stubber: tuple[Stubber, MoveTasks]) -> None:
    stub, tasks = stubber
    stub.add_response("list_message_move_tasks", {"Results": [RUNNING]}, LATEST)
    cancelled = {"ApproximateNumberOfMessagesMoved": 3}
    stub.add_response("cancel_message_move_task", cancelled, {"TaskHandle": "a-handle"})
    stub.add_response("list_message_move_tasks", {"Results": [MOVED]}, LATEST)

    redrive.cancel(tasks)
    redrive.cancel(tasks)  # nothing is running any more


@pytest.mark.parametrize(
    ("code", "status"),
    [("InvalidAction", 400), ("UnsupportedOperation", 400), ("InternalFailure", 500), ("AccessDenied", 403)],
)
def test_where_sqs_cannot_move_the_caller_does(stubber: tuple[Stubber, MoveTasks], code: str, status: int) -> None:
    stub, tasks = stubber
    stub.add_response("list_message_move_tasks", {"Results": [MOVED]}, LATEST)
    stub.add_client_error("start_message_move_task", code, http_status_code=status)

    assert not redrive.start(tasks, EVENTS_ARN, rate=None)


def test_a_forced_replay_of_everything_is_left_to_sqs(dlq: Dlq, proxy: FaultProxy) -> None:
    dlq.fill(*people(3))
    proxy.answer("ListMessageMoveTasks", {"Results": []}, times=1)
    proxy.answer("ListMessageMoveTasks", {"Results": [MOVED]})
    proxy.answer("StartMessageMoveTask", {"TaskHandle": "a-handle"})

    done = Dlq(dlq.queues, proxy.endpoint_url).run("replay", "--force")

    assert (done.returncode, done.stdout, done.stderr) == (0, "moved by SQS: 7\n", "")
    assert proxy.calls["ReceiveMessage"] == 0


def test_a_move_by_sqs_is_cancelled_when_interrupted(dlq: Dlq, proxy: FaultProxy) -> None:
    proxy.answer("ListMessageMoveTasks", {"Results": [RUNNING]})
    proxy.answer("CancelMessageMoveTask", {"ApproximateNumberOfMessagesMoved": 3})
    with Dlq(dlq.queues, proxy.endpoint_url).start("replay", "--force") as replay:
        wait_until(lambda: proxy.calls["ListMessageMoveTasks"] >= 3, 20, "it does not follow")  # two are read
        replay.send_signal(signal.SIGINT)
        _, errors = replay.communicate(timeout=20)

    assert replay.returncode == 130
    assert "about 3 messages were moved, the rest is where it was" in errors
    assert proxy.calls["CancelMessageMoveTask"] == 1


def test_a_forced_replay_of_everything_falls_back_quietly(dlq: Dlq) -> None:
    dlq.fill(*people(15))

    done = dlq.run("replay", "--force")

    assert (done.returncode, done.stderr) == (0, "")
    assert dlq.event_bodies() == people(15)
