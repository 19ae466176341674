"""People who write tricks into their names sign up, by the Lambda and the worker, and their rows have none."""

import json
import re
import uuid
from collections.abc import Callable

from signup_sync.characters import UNWANTED, has_address
from tests.support.events import sign_up
from tests.support.memory_database import handle_key
from tests.support.sqs import Queues
from tests.support.tables import names, users
from tests.support.texts import ADDRESSES, REAL_NAMES, UNSEEN
from tests.support.texts import UNWANTED as TRICKS
from tests.support.worker_process import WorkerProcess
from trigger_lambda import handler

Drain = Callable[..., WorkerProcess]

HANDLES = ["ada", "ADA", "ad\u200ba", "a\u00adda", "\u202eada", "\uff41\uff44\uff41", "ada\ufe0f", "\u3164ada"]
NAMES = [*REAL_NAMES, *ADDRESSES, *UNSEEN, *(f"Ada{trick}Lovelace" for trick in TRICKS)]


def from_cognito(name: str, handle: str) -> str:
    attributes = {"sub": str(uuid.uuid4()), "name": name, "preferred_username": handle, "email": "a\r\n@b.org"}
    return json.dumps(
        handler._message(  # noqa: SLF001 (what it sends)
            {"userName": handle, "userPoolId": "pool", "request": {"userAttributes": attributes}}
        )
    )


def test_nobody_who_signs_up_in_cognito_is_lost_or_hides_anything(
    queues: Queues, database_url: str, drain: Drain
) -> None:
    bodies = [*(from_cognito("Ada", handle) for handle in HANDLES), *(from_cognito(name, name) for name in NAMES)]
    queues.send(*bodies)

    drain(MAX_ATTEMPTS="1")

    assert queues.dead_letter_count() == 0
    rows = users(database_url)
    assert len(rows) == len(bodies)
    unwanted = re.compile(f"[{UNWANTED}]").search
    for _, display_name, handle, email, _ in rows:
        assert not any(map(unwanted, map(str, (display_name, handle, email))))
        assert not has_address(str(display_name))
        assert not has_address(str(handle))
    keys = [handle_key(str(row[2])) for row in rows]
    assert len(set(keys)) == len(keys)
    assert {row[1] for row in rows} >= set(REAL_NAMES)


def test_a_publisher_who_does_not_clean_names_gets_dead_letters(
    queues: Queues, database_url: str, drain: Drain
) -> None:
    dirty = [f"Ada{trick}" for trick in TRICKS] + ADDRESSES + UNSEEN
    for number, name in enumerate(dirty):  # as escapes of JSON, which SQS carries
        queues.client.send_message(QueueUrl=queues.events_url, MessageBody=sign_up(f"user{number}", display_name=name))
        queues.client.send_message(QueueUrl=queues.events_url, MessageBody=sign_up(f"other{number}", handle=name))

    worker = drain(MAX_ATTEMPTS="1")

    assert names(database_url) == set()
    reasons = [letter.attributes["failure_reason"] for letter in queues.dead_letters()]
    assert reasons == ["invalid_event"] * 2 * len(dirty)
    assert "private.example" not in str(worker)
