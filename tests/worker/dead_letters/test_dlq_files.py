"""`signup-sync dlq export`, `import` and `delete`."""

import json
import os
import stat
from pathlib import Path

import pytest

from tests.support.dlq import Dlq, people
from tests.support.events import sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.wait import wait_until
from worker.aws.sqs import Received, text_attribute
from worker.dead_letters.dead_letter import DeadLetter
from worker.dead_letters.files import to_line


def exported(path: Path, *bodies: str) -> Path:
    """A file as an export would have written it."""
    attributes = {name: text_attribute("x") for name in ("failure_reason", "tenant")}
    letters = [DeadLetter(Received(str(number), "", body, 1, attributes)) for number, body in enumerate(bodies)]
    path.write_text("".join(f"{to_line(letter)}\n" for letter in letters))
    return path


def test_an_export_leaves_everything_where_it_is(dlq: Dlq, tmp_path: Path) -> None:
    bodies = people(25)
    dlq.fill(*bodies, reason="unknown_author")
    file = tmp_path / "dead.jsonl"

    done = dlq.run("export", str(file))

    assert (done.returncode, done.stderr) == (0, "25 exported\n")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert sorted(line["body"] for line in lines) == bodies
    assert {line["reason"] for line in lines} == {"unknown_author"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["dead.jsonl"]
    assert dlq.dead_bodies() == bodies
    assert dlq.run("export", str(file)).stderr == f"signup-sync: {file} exists: choose another name\n"


def test_an_export_goes_to_a_pipe_and_takes_filters(dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"), sign_up("bob"))

    done = dlq.run("export", "-", "--match", "data.email~ada@")

    assert [json.loads(line)["body"] for line in done.stdout.splitlines()] == [sign_up("ada")]


def test_an_export_that_fails_leaves_no_file(dlq: Dlq, proxy: FaultProxy, tmp_path: Path) -> None:
    dlq.fill(*people(25))
    proxy.fail("ReceiveMessage", status=403, code="AccessDeniedException", after=1)

    done = Dlq(dlq.queues, proxy.endpoint_url).run("export", str(tmp_path / "dead.jsonl"))

    assert done.returncode == 2
    assert proxy.calls["ReceiveMessage"] == 2
    assert list(tmp_path.iterdir()) == []


def test_importing_a_file_twice_sends_each_event_once(dlq: Dlq, tmp_path: Path) -> None:
    bodies = people(25)
    file = exported(tmp_path / "dead.jsonl", *bodies)

    assert dlq.run("import", str(file), "--dry-run").stdout == "would_replay\tx\t25\n"
    assert list(tmp_path.iterdir()) == [file]
    first = dlq.run("import", str(file))
    again = dlq.run("import", str(file))

    assert (first.returncode, first.stdout) == (0, "replayed\tx\t25\n")
    assert (again.returncode, again.stdout) == (0, "sent_before\tx\t25\n")
    [message] = dlq.queues.client.receive_message(
        QueueUrl=dlq.queues.events_url, MessageAttributeNames=["All"], VisibilityTimeout=0
    )["Messages"]
    assert list(message["MessageAttributes"]) == ["tenant"]
    assert dlq.event_bodies() == bodies


def test_an_import_that_was_killed_goes_on_where_it_was(dlq: Dlq, proxy: FaultProxy, tmp_path: Path) -> None:
    bodies = people(100)
    file = exported(tmp_path / "dead.jsonl", *bodies)
    journal = tmp_path / "dead.jsonl.imported"
    proxy.hang("SendMessageBatch", after=2)
    with Dlq(dlq.queues, proxy.endpoint_url).start("import", str(file)) as importing:
        wait_until(lambda: journal.exists() and len(journal.read_text().split()) == 20, 20, "nothing is noted")
        importing.kill()
        importing.communicate(timeout=20)

    assert dlq.run("import", str(file)).returncode == 0
    assert dlq.event_bodies() == bodies


def test_an_import_sends_what_sqs_did_not_take_at_the_next_run(dlq: Dlq, proxy: FaultProxy, tmp_path: Path) -> None:
    bodies = people(20)
    file = exported(tmp_path / "dead.jsonl", *bodies)
    proxy.fail_entries("SendMessageBatch", 0.3, code="InvalidMessageContents", sender_fault=True)

    done = Dlq(dlq.queues, proxy.endpoint_url).run("import", str(file))

    assert done.returncode == 1
    assert done.stdout.count("SQS did not take it") == 6
    assert dlq.run("import", str(file)).returncode == 0
    assert dlq.event_bodies() == bodies


def test_an_import_checks_events_first(dlq: Dlq, tmp_path: Path) -> None:
    broken = sign_up("bob", handle="a b")
    file = exported(tmp_path / "dead.jsonl", sign_up("ada"), broken)

    done = dlq.run("import", str(file))

    assert done.returncode == 1
    assert "(x): it would fail: data.handle: must be visible, without white space" in done.stdout
    assert dlq.event_bodies() == [sign_up("ada")]
    assert dlq.run("import", str(file), "--force").returncode == 0
    assert dlq.event_bodies() == [broken]


@pytest.mark.parametrize("line", ["no JSON", "[]", "{}", '{"body": 1}', '{"body": "x", "attributes": {"a": 1}}'])
def test_a_file_that_is_none_is_refused_before_anything_is_sent(dlq: Dlq, tmp_path: Path, line: str) -> None:
    file = tmp_path / "file.jsonl"
    file.write_text(json.dumps({"body": sign_up("ada")}) + f"\n{line}\n")

    done = dlq.run("import", str(file))

    assert done.returncode == 2
    assert done.stderr == f"signup-sync: {file}: line 2 is not a dead letter of `signup-sync dlq export`\n"
    assert dlq.event_bodies() == []


def test_binary_attributes_go_there_and_back(dlq: Dlq, tmp_path: Path) -> None:
    attributes = {"raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    dlq.queues.client.send_message(
        QueueUrl=dlq.queues.dlq_url,
        MessageBody=sign_up("ada"),
        MessageAttributes=attributes,  # type: ignore[arg-type]  # a literal of the same shape
    )
    file = tmp_path / "dead.jsonl"
    assert dlq.run("delete", "--yes", "--backup", str(file)).returncode == 0

    assert dlq.run("import", str(file)).returncode == 0

    [message] = dlq.queues.client.receive_message(QueueUrl=dlq.queues.events_url, MessageAttributeNames=["All"])[
        "Messages"
    ]
    assert message["MessageAttributes"]["raw"]["BinaryValue"] == b"\x00\xff"


def test_a_delete_asks_with_the_number_and_keeps_a_copy(dlq: Dlq, tmp_path: Path) -> None:
    dlq.fill(*people(12), reason="invalid_event")
    dlq.fill(sign_up("ada"))
    file = tmp_path / "deleted.jsonl"
    arguments = ("delete", "--reason", "invalid_event", "--backup", str(file))

    refused = dlq.run(*arguments, stdin="")
    assert f"Delete 12 dead letters (a copy is in {file})?" in refused.stderr
    assert not file.exists()
    assert (dlq.visible(), dlq.held()) == (13, 0)
    assert dlq.run(*arguments, "--dry-run").stdout == "12 would be deleted\n"
    done = dlq.run(*arguments, stdin="y\n")

    assert (done.returncode, done.stdout) == (0, f"12 deleted, a copy is in {file}\n")
    assert sorted(json.loads(line)["body"] for line in file.read_text().splitlines()) == people(12)
    assert dlq.dead_bodies() == [sign_up("ada")]
    assert "exists: choose another name" in dlq.run(*arguments, "--yes").stderr


def test_a_delete_without_a_copy_says_so(dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"))

    done = dlq.run("delete", "--no-backup", stdin="y\n")

    assert "Delete 1 dead letters (there is no copy)?" in done.stderr
    assert done.stdout == "1 deleted\n"
    assert dlq.queues.dead_letter_count() == 0


def test_a_delete_tries_again_what_failed_in_part(dlq: Dlq, proxy: FaultProxy, tmp_path: Path) -> None:
    dlq.fill(*people(12))
    proxy.fail_entries("DeleteMessageBatch", 0.5, times=2)

    done = Dlq(dlq.queues, proxy.endpoint_url).run("delete", "--yes", "--backup", str(tmp_path / "copy.jsonl"))

    assert done.returncode == 0
    assert dlq.queues.dead_letter_count() == 0


def test_a_delete_that_is_not_allowed_deletes_nothing(dlq: Dlq, proxy: FaultProxy) -> None:
    dlq.fill(*people(12))
    proxy.fail("DeleteMessageBatch", status=403, code="AccessDeniedException")

    done = Dlq(dlq.queues, proxy.endpoint_url).run("delete", "--yes", "--no-backup")

    assert done.returncode == 2
    assert "(needs sqs:DeleteMessage)" in done.stderr
    assert (dlq.visible(), dlq.held()) == (12, 0)


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "pipe", "directory"])
def test_what_somebody_has_put_beside_a_file_is_not_written_to(dlq: Dlq, tmp_path: Path, kind: str) -> None:
    file = exported(tmp_path / "dead.jsonl", sign_up("ada"))
    other, beside = tmp_path / "other", tmp_path / "dead.jsonl.imported"
    if kind != "dangling link":
        other.write_text("mine\n")
    if kind == "hard link":
        beside.hardlink_to(other)
    elif kind == "pipe":
        os.mkfifo(beside)
    elif kind == "directory":
        beside.mkdir()
    else:
        beside.symlink_to(other)

    done = dlq.run("import", str(file))

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"signup-sync: {beside}: ")
    assert other.exists() == (kind != "dangling link")
    assert not other.exists() or other.read_text() == "mine\n"
    assert dlq.event_bodies() == []


def test_what_is_written_beside_a_file_is_its_owner_s_alone(dlq: Dlq, tmp_path: Path) -> None:
    file = exported(tmp_path / "dead.jsonl", sign_up("ada"))

    assert dlq.run("import", str(file)).returncode == 0

    assert stat.S_IMODE((tmp_path / "dead.jsonl.imported").stat().st_mode) == 0o600


def test_a_copy_whose_name_is_not_utf_8_is_named_all_the_same(dlq: Dlq, tmp_path: Path) -> None:
    dlq.fill(sign_up("ada"))
    copy = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jsonl"))

    done = dlq.run_process("delete", "--backup", str(copy), "--yes", PYTHONIOENCODING="utf-8:strict")

    assert (done.returncode, done.stdout) == (0, f"1 deleted, a copy is in {tmp_path}/\ufffd.jsonl\n")
    assert copy.exists()
