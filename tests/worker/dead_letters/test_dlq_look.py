"""`signup-sync dlq stats`, `list` and `show`: they tell what there is, and change nothing."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.dlq import Dlq, below_progress, people
from tests.support.events import activity, sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.ports import free_port
from tests.support.sqs import Queues
from tests.support.wait import wait_until
from worker.aws.sqs import Queue
from worker.dead_letters.held_messages import HeldMessages
from worker.dead_letters.scan import Scan


def test_stats_count_by_reason_and_type(dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"), sign_up("bob", handle="a b"), reason="invalid_event")
    dlq.fill(activity("ada"), "no JSON", reason=None)

    [stats] = dlq.json("stats")
    oldest = stats.pop("oldest_age_seconds")
    groups = stats.pop("groups")

    assert stats == {
        "messages": 4,
        "in_flight_elsewhere": 0,
        "total": 4,
        "by_reason": {"invalid_event": 2, "worker_crashed": 2},
        "by_type": {"user.signed_up.v1": 2, "activity.created.v1": 1, "unreadable": 1},
    }
    assert oldest >= 0
    assert [(group["reason"], group["messages"]) for group in groups] == [("invalid_event", 2), ("worker_crashed", 2)]
    assert "reason\tinvalid_event\t2\n" in dlq.run("stats").stdout


def test_an_empty_queue_is_no_error(dlq: Dlq) -> None:
    [stats] = dlq.json("stats")
    assert (stats["messages"], stats["groups"]) == (0, [])
    assert dlq.run("stats").stdout == "total\t\t0\n"
    assert below_progress(dlq.run_on_terminal("stats", NO_COLOR="1")).split() == ["COUNT", "total", "0"]
    assert dlq.json("list") == []
    assert dlq.run("replay").stdout == "nothing to do\n"


def test_filters_narrow_what_is_listed(dlq: Dlq) -> None:
    [ada] = dlq.fill(sign_up("ada"), reason="invalid_event")
    [bob, eve] = dlq.fill(sign_up("bob"), activity("eve", "Hello World"), reason="unknown_author")

    def found(*filters: str) -> set[str]:
        return {line["id"] for line in dlq.json("list", *filters)}

    assert found("--reason", "unknown_author", "--type", "user.signed_up.v1", "--newer-than", "1h") == {bob}
    assert found("--text", "hello world", "--older-than", "0s") == {eve}
    assert found("--detail", "tried") == {ada, bob, eve}
    assert found("--detail", "tried", "--reason", "invalid_event") == {ada}
    assert found("--detail", "in vain") == set()
    assert found("--match", "data.message~hello", "--match", "type=activity.created.v1") == {eve}
    assert found("--match", "data.handle=bob") == {bob}
    assert found("--match", "data.expires_at=null") == {eve}
    assert found("--match", "data.handle=") == set()
    assert found("--id", ada, "--id", "bob") == {ada, bob}
    assert len(found("--limit", "2")) == 2
    assert dlq.visible() == 3


def test_a_list_holds_nothing_that_people_wrote(dlq: Dlq) -> None:
    dlq.fill(sign_up("ada", handle="a b"), json.dumps({"type": "ada@example.com", "id": "ada@example.com"}))

    for arguments in (("list",), ("list", "--json"), ("stats",)):
        output = dlq.run(*arguments).stdout
        assert "unreadable" in output
        assert "@" not in output
        assert "a b" not in output


def test_show_tells_everything_and_what_is_wrong_today(dlq: Dlq) -> None:
    [broken] = dlq.fill(sign_up("ada", handle="a b"), reason="invalid_event", detail="data.handle: no")
    [mended] = dlq.fill(sign_up("bob"), reason="unknown_type")

    shown = dlq.run("show", broken).stdout
    assert '    "email": "ada@example.com",\n' in shown
    assert "data.handle: no" in shown
    assert "tenant" in shown
    assert "invalid: data.handle: must be visible, without white space, control or format characters" in shown
    assert "valid: the worker would take it" in dlq.run("show", mended).stdout
    [as_json] = dlq.json("show", broken)
    assert as_json["body"] == sign_up("ada", handle="a b")
    assert as_json["valid"] is False
    assert as_json["attempts"] == 5
    assert as_json["attributes"]["failed_at"]["StringValue"] == "2026-01-31T12:00:00.000Z"
    assert dlq.json("show", "bob")[0]["id"] == mended


def test_who_asks_for_what_is_not_there_is_told(dlq: Dlq) -> None:
    done = dlq.run("show", "nobody")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "signup-sync: there is no dead letter nobody\n"


def test_a_message_cannot_drive_the_terminal(dlq: Dlq) -> None:
    [hostile] = dlq.fill('{"type": "x", "data": "\u009b2J\u202e"}', "\u009b31m", detail="\u009b2J\rforged")[:1]

    for arguments in (("list",), ("show", hostile), ("replay",)):
        seen = dlq.run_on_terminal(*arguments, NO_COLOR="1", COLUMNS="200")  # on which the whole line is seen
        assert not set("\u009b\u202e") & set(seen)
        assert "\rforged" not in seen


def test_a_terminal_gets_a_table_and_a_pipe_gets_fields(dlq: Dlq) -> None:
    [ada] = dlq.fill(sign_up("ada"), reason="unknown_author")

    seen = dlq.run_on_terminal("list")
    plain = dlq.run_on_terminal("list", NO_COLOR="1")
    piped = dlq.run("list").stdout

    assert "\x1b[1mID" in seen
    assert "REASON" in plain
    assert "\x1b" not in plain
    assert piped.split("\t")[0] == ada
    assert piped.split("\t")[2:] == ["5", "unknown_author", "user.signed_up.v1", "tried in vain\n"]


@pytest.mark.parametrize("columns", [80, 60, 200])
def test_reason_and_detail_are_whole_on_any_terminal(dlq: Dlq, columns: int) -> None:
    detail = "data.display_name: string should have at least 1 character, which is longer than the line"
    [ada] = dlq.fill(sign_up("ada"), reason="invalid_event", detail=detail)

    seen = dlq.run_on_terminal("list", NO_COLOR="1", COLUMNS=str(columns))

    lines = seen.splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[1].split()[0] == ada[:8]
    assert "invalid_event" in seen
    assert " ".join(seen.split()).endswith(f"{detail} (user.signed_up.v1, 5 attempts)")
    assert dlq.run("show", ada[:8]).returncode == 0


def test_everything_is_visible_again_at_the_end(dlq: Dlq) -> None:
    bodies = people(120)
    dlq.fill(*bodies)

    assert len(dlq.run("list").stdout.splitlines()) == 120
    assert (dlq.visible(), dlq.held()) == (120, 0)
    assert dlq.dead_bodies() == bodies


def test_a_look_that_is_told_to_end_releases_at_once(dlq: Dlq, proxy: FaultProxy) -> None:
    dlq.fill(*people(25))
    proxy.delay("ReceiveMessage", 10.0, after=1)
    with Dlq(dlq.queues, proxy.endpoint_url).start("list") as listing:
        wait_until(lambda: dlq.held() == 10, 20, "it receives nothing")
        listing.terminate()
        proxy.clear()
        _, errors = listing.communicate(timeout=20)

    assert listing.returncode == 143
    assert errors == "signup-sync: interrupted: what was held is visible again\n"
    assert (dlq.visible(), dlq.held()) == (25, 0)


def test_a_reader_who_goes_away_is_no_harm(dlq: Dlq) -> None:
    dlq.fill(*people(30))
    with dlq.start("list") as listing:
        assert listing.stdout is not None
        listing.stdout.close()
        assert listing.wait(20) == 1
        assert listing.stderr is not None
        assert "Traceback" not in listing.stderr.read()

    assert (dlq.visible(), dlq.held()) == (30, 0)


def test_a_failure_in_the_middle_releases_too(dlq: Dlq, proxy: FaultProxy) -> None:
    dlq.fill(*people(25))
    proxy.fail("ReceiveMessage", status=403, code="AccessDeniedException", after=1)

    done = Dlq(dlq.queues, proxy.endpoint_url).run("list")

    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 10
    assert "sqs:ReceiveMessage" in done.stderr
    assert (dlq.visible(), dlq.held()) == (25, 0)


def test_what_cannot_be_released_is_said(dlq: Dlq, proxy: FaultProxy) -> None:
    dlq.fill(*people(3))
    proxy.fail("ChangeMessageVisibilityBatch", status=403, code="AccessDeniedException")

    done = Dlq(dlq.queues, proxy.endpoint_url).run("list")

    assert "3 messages could not be released: they are visible again in 15 seconds at most" in done.stderr
    assert dlq.held() == 3


def test_the_limit_of_messages_in_flight_is_explained(dlq: Dlq, proxy: FaultProxy) -> None:
    dlq.fill(sign_up("ada"))
    proxy.fail("ReceiveMessage", status=403, code="OverLimit")

    done = Dlq(dlq.queues, proxy.endpoint_url).run("list")

    assert done.returncode == 0
    assert "120,000 messages can be in flight: there may be more that SQS did not show" in done.stderr


def test_what_somebody_else_holds_is_said(dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"), sign_up("bob"))
    client = dlq.queues.client
    client.receive_message(QueueUrl=dlq.queues.dlq_url, MaxNumberOfMessages=1, VisibilityTimeout=60)

    done = dlq.run("list")

    assert len(done.stdout.splitlines()) == 1
    assert "somebody else holds about 1 more" in done.stderr
    assert "somebody else holds about 1 messages" in dlq.run("show", "nobody").stderr
    stats = dlq.run("stats").stdout
    assert "held\tby somebody else just now\t1\n" in stats
    assert "total\t\t2\n" in stats


def test_what_somebody_else_lets_go_of_in_a_moment_is_counted(dlq: Dlq) -> None:
    """A console reads the queue at the same time, as it does every half minute."""
    dlq.fill(sign_up("ada"), sign_up("bob"))
    client = dlq.queues.client
    client.receive_message(QueueUrl=dlq.queues.dlq_url, MaxNumberOfMessages=10, VisibilityTimeout=1)

    [stats] = dlq.json("stats")

    assert (stats["messages"], stats["in_flight_elsewhere"], stats["total"]) == (2, 0, 2)


def test_two_who_count_at_once_never_say_that_there_is_nothing(dlq: Dlq) -> None:
    dlq.fill(*people(60))

    with ThreadPoolExecutor() as executor:
        counts = list(executor.map(lambda _: count(dlq.queues), range(2)))

    assert [seen + elsewhere for seen, elsewhere in counts] == [60, 60]


def count(queues: Queues) -> tuple[int, int]:
    """What a look counts, and what it says that others hold."""
    queue = Queue(queues.dlq_url, queues.client)
    with Scan(queue, queue.describe()) as scan:
        return len(list(scan)), scan.elsewhere


def test_a_lease_is_kept_until_it_is_released(dlq: Dlq) -> None:
    dlq.fill(*people(12))
    client = dlq.queues.client
    queue = Queue(dlq.queues.dlq_url, client)
    held = HeldMessages(queue, shortest_lease=3)
    held.start()
    messages = [m for _ in range(2) for m in queue.receive(wait_seconds=0, visibility_timeout=held.lease)]
    assert held.add(messages, time.monotonic() + held.lease) == messages
    assert held.add(messages, time.monotonic() + held.lease) == []

    over = time.monotonic() + held.lease
    wait_until(lambda: time.monotonic() > over, 20, "the clock stands still")
    assert "Messages" not in client.receive_message(QueueUrl=dlq.queues.dlq_url)

    assert held.has(messages[0].message_id)
    assert held.release(keep={messages[0].message_id}) == 0
    assert (dlq.visible(), dlq.held()) == (11, 1)
    assert held.let_go([messages[0].message_id, "unknown"]) == {"unknown": "MessageNotInflight"}
    assert held.close() == 0
    assert (dlq.visible(), dlq.held()) == (11, 0)


FAULTS = {
    "no_permission": ({"status": 403, "code": "AccessDeniedException"}, "(needs sqs:GetQueueAttributes)"),
    "expired_credentials": ({"status": 403, "code": "ExpiredTokenException"}, "sign in again"),
    "no_such_queue": (
        {
            "status": 400,
            "code": "QueueDoesNotExist",
            "query_code": "AWS.SimpleQueueService.NonExistentQueue",
        },
        "are the queue's URL and AWS_REGION right?",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_sqs_refuses_is_one_line(dlq: Dlq, proxy: FaultProxy, fault: str) -> None:
    parameters, advice = FAULTS[fault]
    proxy.fail("GetQueueAttributes", **parameters)  # type: ignore[arg-type]  # a table of keyword arguments

    done = Dlq(dlq.queues, proxy.endpoint_url).run("stats")

    assert (done.returncode, done.stdout) == (2, "")
    assert advice in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_dead_endpoint_is_one_line(dlq: Dlq) -> None:
    done = Dlq(dlq.queues, f"http://127.0.0.1:{free_port()}").run("list")

    assert done.returncode == 2
    assert "AWS_ENDPOINT_URL_SQS" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_wrong_queue_is_refused(dlq: Dlq) -> None:
    same = dlq.run("list", DLQ_URL=dlq.queues.events_url)
    swapped = dlq.run("list", DLQ_URL=dlq.queues.events_url, QUEUE_URL=dlq.queues.dlq_url)
    other = dlq.queues.client.create_queue(QueueName="not-a-dead-letter-queue")["QueueUrl"]
    stranger = dlq.run("replay", DLQ_URL=other)

    assert [done.returncode for done in (same, swapped, stranger)] == [2, 2, 2]
    assert "the same queue" in same.stderr
    assert "has a redrive policy of its own" in swapped.stderr
    assert "DLQ_URL is not the dead-letter queue of QUEUE_URL" in stranger.stderr


def test_a_missing_setting_is_named(dlq: Dlq) -> None:
    assert dlq.run("list", DLQ_URL="").stderr == "signup-sync: DLQ_URL is not set\n"


@pytest.mark.parametrize("depth", [900, 30])
def test_an_event_that_is_nothing_but_brackets_does_not_fill_a_terminal(dlq: Dlq, depth: int) -> None:
    body = '{"id": "x", "data": ' + "[" * depth + ",".join(["[]"] * 20_000) + "]" * depth + "}"
    [message_id] = dlq.fill(body, detail="[" * 60_000)

    for arguments in (("show", message_id), ("show", message_id, "--json"), ("list",), ("list", "--json")):
        shown = dlq.run(*arguments)
        assert shown.returncode == 0
        assert len(shown.stdout) < 6 * len(body)
    edited = dlq.run("edit", message_id, "--set", "data=null", "--dry-run")
    assert edited.stderr.count("\n") == 1
    assert len(edited.stdout) < 10 * len(body)
