"""`signup-sync dlq edit`: a broken event is mended and sent, or nothing happens to it."""

import json
import os
import stat
from pathlib import Path

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.dlq import Dlq
from tests.support.events import sign_up
from tests.support.fault_proxy import FaultProxy
from worker.cli.commands.dlq.edit import assignment

BROKEN = sign_up("ada", handle="a b")
MENDED = sign_up("ada", handle="ada").replace(": ", ":").replace(", ", ",")


def kept_text(errors: str) -> Path:
    """The file that the command says your text is in."""
    [line] = [line for line in errors.splitlines() if "your text is in " in line]
    return Path(line.rpartition(" in ")[2])


def test_an_edited_event_is_sent_and_its_dead_letter_deleted(dlq: Dlq) -> None:
    [ada] = dlq.fill(BROKEN, reason="invalid_event")

    done = dlq.run_process("edit", ada, stdin="y\n", EDITOR="sed -i 's/a b/ada/'")

    assert done.returncode == 0
    assert '-    "handle": "a b"\n+    "handle": "ada"\n' in done.stdout
    [message] = dlq.queues.client.receive_message(QueueUrl=dlq.queues.events_url, MessageAttributeNames=["All"])[
        "Messages"
    ]
    assert message["Body"] == MENDED
    assert list(message["MessageAttributes"]) == ["tenant"]
    assert dlq.queues.dead_letter_count() == 0


def test_visual_comes_before_editor(dlq: Dlq) -> None:
    [ada] = dlq.fill(BROKEN)

    done = dlq.run("edit", ada, "--yes", VISUAL="sed -i 's/a b/ada/'", EDITOR="false")

    assert done.returncode == 0
    assert dlq.event_bodies() == [MENDED]


def test_an_invalid_edit_goes_nowhere_and_is_kept(dlq: Dlq) -> None:
    [ada] = dlq.fill(BROKEN)

    done = dlq.run("edit", ada, "--yes", EDITOR="sed -i 's/a b/still wrong/'")
    kept = kept_text(done.stderr)

    assert done.returncode == 2
    assert "the event is invalid: data.handle: must be visible, without white space" in done.stderr
    assert '"handle": "still wrong"' in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    kept.unlink()
    assert dlq.dead_bodies() == [BROKEN]
    assert dlq.event_bodies() == []


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_without_agreement_nothing_is_sent(dlq: Dlq, answer: str) -> None:
    [ada] = dlq.fill(BROKEN)

    done = dlq.run("edit", ada, stdin=answer, EDITOR="sed -i 's/a b/ada/'")

    assert done.returncode == 1
    kept_text(done.stderr).unlink()
    assert dlq.dead_bodies() == [BROKEN]
    assert dlq.event_bodies() == []


def test_on_a_terminal_an_invalid_edit_can_be_edited_again(dlq: Dlq, tmp_path: Path) -> None:
    [ada] = dlq.fill(BROKEN)
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/still wrong/ada/; s/a b/still wrong/' \"$1\"\n")
    editor.chmod(0o700)
    controller, terminal = os.openpty()
    with dlq.start_at("edit", ada, stdin=terminal, EDITOR=str(editor)) as edit:
        os.write(controller, b"y\ny\n")
        output, _ = edit.communicate(timeout=20)
    os.close(controller)
    os.close(terminal)

    assert edit.returncode == 0
    assert '+    "handle": "ada"' in output
    assert dlq.event_bodies() == [MENDED]


@pytest.mark.parametrize("editor", ["false", "no-such-editor"])
def test_an_editor_that_fails_changes_nothing(dlq: Dlq, editor: str) -> None:
    [ada] = dlq.fill(BROKEN)

    done = dlq.run("edit", ada, "--yes", EDITOR=editor)

    assert done.returncode == 2
    assert "set VISUAL or EDITOR" in done.stderr
    assert done.stderr.count("\n") == 2
    kept_text(done.stderr).unlink()
    assert dlq.dead_bodies() == [BROKEN]


def test_an_edit_that_changes_nothing_sends_nothing(dlq: Dlq) -> None:
    [ada] = dlq.fill(BROKEN)

    assert dlq.run("edit", ada, "--yes", EDITOR="true").stdout == "nothing was changed, and nothing sent\n"
    assert dlq.dead_bodies() == [BROKEN]


def test_members_are_set_without_an_editor(dlq: Dlq) -> None:
    body = BROKEN.replace('"id"', '"extra": [1.10, 1e400], "id"')
    [ada] = dlq.fill(body)

    dry = dlq.run("edit", ada, "--set", "data.handle=ada", "--dry-run")
    assert '+    "handle": "ada"' in dry.stdout
    assert dlq.dead_bodies() == [body]
    done = dlq.run("edit", ada, "--set", "data.handle=ada", "--set", "data.email=null", "--yes")

    assert done.returncode == 0
    assert dlq.event_bodies() == [body.replace('"a b"', '"ada"').replace('"ada@example.com"', "null")]


def test_members_are_set_in_all_that_the_filters_choose(dlq: Dlq) -> None:
    dlq.fill(*[sign_up(f"user-{number}", display_name="") for number in range(12)], reason="invalid_event")
    dlq.fill(BROKEN, reason="unknown_type")

    done = dlq.run("edit", "--reason", "invalid_event", "--set", "data.display_name=Unknown", stdin="y\n")

    assert done.returncode == 0
    assert "Send these 12 events" in done.stderr
    expected = [sign_up(f"user-{number}", display_name="Unknown") for number in range(12)]
    assert dlq.event_bodies() == sorted(expected)
    assert dlq.dead_bodies() == [BROKEN]


SET_NAME = ("--reason", "invalid_event", "--set", "data.display_name=Unknown")


@pytest.mark.parametrize("asked", [("--yes",), ("--dry-run",)])
def test_of_edits_that_are_alike_one_is_shown(dlq: Dlq, asked: tuple[str, ...]) -> None:
    bodies = [sign_up(f"user-{number:02}", display_name="") for number in range(50)]
    [first, *_] = dlq.fill(*bodies, reason="invalid_event")

    done = dlq.run("edit", *SET_NAME, *asked)

    assert done.returncode == 0
    difference = done.stdout.partition("and 49 alike\n")[0].splitlines()
    assert difference[:2] == [f"--- {first}", "+++ edited"]
    assert [line for line in difference[2:] if line[0] in "+-"] == [
        '-    "display_name": "",',
        '+    "display_name": "Unknown",',
    ]
    assert done.stdout.count("+++ edited") == 1
    assert len(dlq.event_bodies()) == (50 if asked == ("--yes",) else 0)


def test_edits_are_alike_only_if_the_values_before_are_the_same(dlq: Dlq) -> None:
    odd = json.dumps({**json.loads(sign_up("eve")), "data": {"cognito_user_id": "eve", "email": None, "handle": "eve"}})
    dlq.fill(odd, sign_up("ada", display_name=7), reason="invalid_event")
    dlq.fill(*[sign_up(f"user-{number}", display_name="") for number in range(3)], reason="invalid_event")
    dlq.fill(sign_up("bob", display_name=""), sign_up("cat", display_name=7), reason="invalid_event")

    shown = dlq.run("edit", *SET_NAME, "--dry-run").stdout.splitlines()

    said = [line for line in shown if line.startswith(("-  ", "and "))]
    assert said == ['-    "display_name": "",', "and 3 alike", '-    "display_name": 7,', "and 1 alike"]
    assert sum(line.startswith("+++") for line in shown) == 3
    assert shown[-1] == '     "handle": "eve"'  # of the event that had no such member


def test_of_edits_that_are_not_alike_some_are_shown_and_the_others_counted(dlq: Dlq) -> None:
    dlq.fill(*[sign_up(f"user-{number}", display_name=number) for number in range(12)], reason="invalid_event")
    dlq.fill(sign_up("ada", display_name=11), reason="invalid_event")

    shown = dlq.run("edit", *SET_NAME, "--dry-run").stdout.splitlines()

    replaced = [line for line in shown if line.startswith("-  ")]
    assert replaced == [f'-    "display_name": {number},' for number in (11, 0, 1, 2, 3)]
    assert [line for line in shown if line.startswith("and ")] == ["and 1 alike", "and 7 in which other values change"]


def test_an_edit_that_finds_the_value_there_says_so(dlq: Dlq) -> None:
    [ada, _] = dlq.fill(sign_up("ada", handle="x"), sign_up("bob", handle="x"))

    shown = dlq.run("edit", "--reason", "attempts_exhausted", "--set", "data.handle=x", "--dry-run").stdout

    assert shown == f"  {ada}: nothing changes\nand 1 alike\n"


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("data.handle=a b", "the event would be invalid: data.handle: must be visible, without white space"),
        ("data.handle=42", "the event would be invalid: data.handle: Input should be a valid string"),
        ("data.handle.first=x", "cannot set data.handle.first: there is no object to set it in"),
    ],
)
def test_a_set_that_makes_no_valid_event_goes_nowhere(dlq: Dlq, setting: str, reason: str) -> None:
    [ada] = dlq.fill(BROKEN)

    done = dlq.run("edit", ada, "--set", setting, "--yes")

    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert dlq.dead_bodies() == [BROKEN]
    assert dlq.held() == 0


@given(st.text() | st.builds("{}={}".format, st.text("ab.", max_size=5), st.text() | st.from_regex(r"[-\[{\"1a ]*")))
@example("data.handle=\udcff")
@example("\ud800=1")
def test_any_words_are_a_member_and_a_value_of_json_or_refused(words: str) -> None:
    try:
        path, value = assignment(words)
    except click.BadParameter:
        return
    json.loads(value)
    assert all(path.split("."))
    assert f"{path}{value}".encode()


def test_the_wrong_words_are_explained(dlq: Dlq) -> None:
    neither = dlq.run("edit")
    without_value = dlq.run("edit", "x", "--set", "data.handle")

    assert (neither.returncode, without_value.returncode) == (2, 2)
    assert "Give its ID, or filters together with --set." in neither.stderr
    assert "is not a member and its value, such as data.handle=ada" in without_value.stderr


def test_several_events_are_not_opened_in_an_editor(dlq: Dlq) -> None:
    first, second = dlq.fill(BROKEN, BROKEN)

    done = dlq.run("edit", "ada", EDITOR="false")

    assert done.returncode == 2
    assert "there are 2 of them: choose one by its message id" in done.stderr
    assert first in done.stderr
    assert second in done.stderr


def test_a_send_that_fails_leaves_message_and_text(dlq: Dlq, proxy: FaultProxy) -> None:
    [ada] = dlq.fill(BROKEN)
    proxy.fail("SendMessageBatch", status=403, code="AccessDeniedException")

    done = Dlq(dlq.queues, proxy.endpoint_url).run("edit", ada, "--yes", EDITOR="sed -i 's/a b/ada/'")

    assert done.returncode == 2
    assert "(needs sqs:SendMessage)" in done.stderr
    kept_text(done.stderr).unlink()
    assert dlq.dead_bodies() == [BROKEN]
    assert dlq.held() == 0


def test_a_difference_cannot_drive_the_terminal(dlq: Dlq) -> None:
    [ada] = dlq.fill(BROKEN.replace("a b", "a b\u009b31m"))

    seen = dlq.run_on_terminal("edit", ada, "--set", "data.handle=ada", "--dry-run")

    assert "\\u009b31m" in seen
    assert "\u009b" not in seen
