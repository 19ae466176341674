"""A broken message, from the events queue to the dead-letter queue and into the table after all; and the runbook's way
from the alarm to the end of it, with the commands that stand there."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from tests.support.dlq import Dlq, below_progress
from tests.support.events import activity, sign_up
from tests.support.runbook import commands_after
from tests.support.sqs import Queues
from tests.support.worker_process import WorkerProcess


def test_a_broken_message_is_understood_mended_and_replayed_with_three_commands(
    queues: Queues, database_url: str, drain: Callable[..., WorkerProcess]
) -> None:
    queues.send(sign_up("ada", handle="a b"))
    drain()
    dlq = Dlq(queues)

    [listed] = dlq.json("list")
    assert (listed["reason"], listed["event_id"]) == ("invalid_event", "ada")
    assert listed["detail"] == "data.handle: must be visible, without white space, control or format characters"
    shown = dlq.run("show", listed["id"])
    assert "invalid: data.handle: must be visible, without white space, control or format characters" in shown.stdout
    edited = dlq.run("edit", listed["id"], "--set", "data.handle=ada", stdin="y\n")
    assert edited.returncode == 0

    drain()
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select cognito_user_id, handle from users").fetchall() == [("ada", "ada")]
    assert queues.dead_letter_count() == 0
    assert queues.counts() == (0, 0, 0)


def test_a_group_with_a_wrong_field_is_mended_at_once(
    queues: Queues, database_url: str, drain: Callable[..., WorkerProcess]
) -> None:
    queues.send(*[sign_up(f"user-{number}", display_name="") for number in range(12)], sign_up("ada"))
    drain()

    look, mend, look_again = the_way("One field is wrong in all of it")
    assert groups(typed(queues, look)) == {"invalid_event data.display_name: String should have at least 1 character"}
    seen = typed(queues, mend)
    assert "and 11 alike" in seen
    assert "Send these 12 events" in seen
    assert is_over(typed(queues, look_again))

    drain()
    assert rows(database_url, "select display_name, count(*) from users group by 1 order by 1") == [
        ("Ada", 1),
        ("Unknown", 12),
    ]
    assert is_over(typed(queues, look_again))


def test_what_works_by_now_is_replayed(queues: Queues, database_url: str, drain: Callable[..., WorkerProcess]) -> None:
    queues.send(activity("ada", "one"), activity("ada", "two"))
    drain(MAX_ATTEMPTS="1")
    queues.send(sign_up("ada"))
    drain()

    look, replay, look_again = the_way("They would work today")
    assert groups(typed(queues, look)) == {"unknown_author no such user so far"}
    assert "replayed" in typed(queues, replay)
    assert is_over(typed(queues, look_again))

    drain()
    assert rows(database_url, "select message from activities order by 1") == [("one",), ("two",)]
    assert is_over(typed(queues, look_again))


def test_garbage_is_looked_at_and_deleted(
    queues: Queues,
    database_url: str,
    drain: Callable[..., WorkerProcess],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # which is where the copy goes
    queues.send("garbage", sign_up("ada"))
    drain()

    look, which, delete, look_again = the_way("They are garbage")
    [group] = groups(typed(queues, look))
    assert group.startswith("invalid_event Invalid JSON")
    assert "unreadable" in typed(queues, which)
    assert "1 deleted, a copy is in" in typed(queues, delete)
    assert is_over(typed(queues, look_again))

    [copy] = tmp_path.glob("deleted-*.jsonl")
    assert '"body": "garbage"' in copy.read_text()
    assert rows(database_url, "select handle from users") == [("ada",)]


def the_way(words: str) -> list[str]:
    """The runbook's commands: the look that comes first, what follows these words (one or two), the look at the end."""
    [look] = commands_after("why they failed")
    found = commands_after(words)
    assert 1 <= len(found) <= 2
    return [look, *found, look]


def typed(queues: Queues, command: str) -> str:
    """What a terminal shows of a command, to which the operator agrees."""
    seen = Dlq(queues).run_on_terminal(*shlex.split(command), stdin="y\n", NO_COLOR="1", COLUMNS="200")
    return "\n".join(" ".join(line.split()) for line in seen.splitlines())


def groups(seen: str) -> set[str]:
    """Reason and detail of each group that `stats` shows."""
    heading, *lines = below_progress(seen).partition("\n\n")[0].splitlines()
    assert heading == "REASON COUNT SINCE LAST HOUR DETAIL"
    return {f"{reason} {detail}" for reason, _, _, _, detail in (line.split(maxsplit=4) for line in lines)}


def is_over(seen: str) -> bool:
    """As the runbook says it."""
    return seen.splitlines()[-1] == "total 0"


def rows(database_url: str, query: LiteralString) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query).fetchall()
