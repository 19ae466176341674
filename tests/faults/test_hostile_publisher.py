"""Somebody who may send to the queue, and means harm, does none to others.

What the worker itself may do to the database is in `tests/db/test_credentials.py`.
"""

import json
import re
import uuid
from collections.abc import Callable

import pytest

from signup_sync.characters import UNWANTED
from tests.faults.bad_bodies import LOOK_ALIKE, SQL
from tests.support.dlq import Dlq
from tests.support.events import activity, sign_up
from tests.support.memory_database import handle_key
from tests.support.sqs import Queues
from tests.support.tables import activities, names, users
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker, WorkerProcess

Drain = Callable[..., WorkerProcess]

POST = "00000000-0000-0000-0000-000000000001"
# What moves a terminal's cursor, changes its title or begins a line.
NASTY = [
    "\x1b[2J\x1b[31mforged",
    "forged\r\nforged",
    "\x1b]0;forged\x07",
    "forged\u2028forged",
    "\x9b31mforged",
    "\x7f",
]


def test_nobody_s_row_can_be_overwritten(queues: Queues, database_url: str, drain: Drain) -> None:
    queues.send(sign_up("ada", email="ada@example.com"), sign_up("eve"), activity("ada", "mine", id=POST))
    drain()
    before = users(database_url), activities(database_url)

    queues.send(
        sign_up("ada", handle="stolen", display_name="Stolen", email="eve@example.com"),
        json.dumps(json.loads(sign_up("ada", display_name="Stolen")) | {"id": "eve", "source": "/somebody"}),
        activity("eve", "no, mine", id=POST),
        activity("ada", "changed", id=POST, reply_to=str(uuid.UUID(int=7))),
    )
    drain(MAX_ATTEMPTS="1")

    assert (users(database_url), activities(database_url)) == before


def test_a_handle_that_somebody_has_cannot_be_taken(queues: Queues, database_url: str, drain: Drain) -> None:
    queues.send(sign_up("ada"), sign_up("bob"))
    drain()
    suffix = {row[0]: row[2] for row in users(database_url)}

    # By its own name, in other letters, and again and again.
    alike = ["ada", "ADA", "aDa", "Bob", "\uff41\uff44\uff41", "ad\u200da", "\u3164Bob", "ada\ufe0f"]
    queues.send(*(sign_up(f"eve{n}", handle=handle) for n, handle in enumerate(alike)))
    queues.send(*(sign_up(f"eve{n}", handle="ada") for n in range(5)))
    drain()

    handles = {row[0]: str(row[2]) for row in users(database_url)}
    assert (handles["ada"], handles["bob"]) == (suffix["ada"], suffix["bob"]) == ("ada", "bob")
    keys = {name: handle_key(handle) for name, handle in handles.items()}
    assert all(key.startswith(("ada-", "bob-")) for name, key in keys.items() if "eve" in str(name))
    assert len(set(keys.values())) == len(keys) == 2 + len(alike)


def test_text_in_every_field_stays_text(queues: Queues, database_url: str, drain: Drain) -> None:
    """What is SQL, or a placeholder, or looks like another letter, is what somebody wrote and nothing else."""
    refused = re.compile(rf"[{UNWANTED}\s]").search
    texts = [text for text in (*SQL, *LOOK_ALIKE) if not refused(text)] + ["1);DELETE/**/FROM/**/users;--"]
    spaced = [*SQL, "x'); DELETE FROM users; --"]
    named = [f"{n}{text}" for n, text in enumerate(texts)]
    queues.send(*(sign_up(name, handle=name, display_name=name) for name in named))
    queues.send(sign_up("poet", email=SQL[0]))
    queues.send(*(activity("poet", text, id=str(uuid.UUID(int=n + 1))) for n, text in enumerate(spaced)))
    queues.send(*(activity(text) for text in spaced))  # as the author

    drain(MAX_ATTEMPTS="1")

    assert {(row[0], row[1], row[2]) for row in users(database_url)} == {
        *((name, name, name) for name in named),
        ("poet", "Poet", "poet"),
    }
    assert [row[2] for row in activities(database_url)] == spaced
    assert {letter.attributes["failure_reason"] for letter in queues.dead_letters()} == {"unknown_author"}


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_line_can_be_forged_in_the_log(
    queues: Queues, database_url: str, start_worker: StartWorker, log_format: str
) -> None:
    for text in NASTY:
        queues.client.send_message(  # as escapes of JSON, which SQS carries
            QueueUrl=queues.events_url, MessageBody=sign_up(text, handle=f"h{NASTY.index(text)}")
        )
        queues.send(activity(text), sign_up(f"taker of {text}", handle=f"H{NASTY.index(text)}"))
        queues.send(json.dumps(json.loads(sign_up("eve")) | {"type": text}), json.dumps({text: text}))
        queues.send(json.dumps(json.loads(sign_up(text)) | {"time": text, "specversion": text}))
    worker = start_worker(MAX_ATTEMPTS="1", LOG_FORMAT=log_format, LOG_LEVEL="debug", wait=False)

    wait_until(lambda: queues.dead_letter_count() >= 6 * len(NASTY), 30, "they are not dead")
    wait_until(lambda: not sum(queues.counts()), 30, "the queue is not empty")

    assert names(database_url) == set()
    lines = [json.dumps(line) for line in worker.log] + worker.lines
    assert len(lines) > 3 * len(NASTY)
    for line in worker.lines:
        assert line.isprintable(), ascii(line)
        assert not line.startswith("forged")
    for letter in queues.dead_letters():
        assert letter.attributes["failure_detail"].isprintable()


def test_what_an_operator_is_shown_cannot_move_the_cursor(queues: Queues) -> None:
    dlq = Dlq(queues)
    bodies = [json.dumps(json.loads(sign_up("eve")) | {"id": text, "type": text}) for text in NASTY]
    ids = dlq.fill(*bodies, detail="forged\x1b[31m".replace("\x1b", "\u2028"))

    outputs = [dlq.run("list"), dlq.run("stats"), *(dlq.run("show", letter) for letter in ids[:2])]

    for output in outputs:
        for line in (output.stdout + output.stderr).split("\n"):
            assert line.replace("\t", " ").isprintable(), ascii(line)
