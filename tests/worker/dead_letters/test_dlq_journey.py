"""A broken message, from the events queue to the dead-letter queue and into the table after all."""

from collections.abc import Callable

import psycopg

from tests.support.dlq import Dlq
from tests.support.events import sign_up
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
    assert listed["detail"] == "data.handle: must not contain white space or U+0000"
    shown = dlq.run("show", listed["id"])
    assert "invalid: data.handle: must not contain white space or U+0000" in shown.stdout
    edited = dlq.run("edit", listed["id"], "--set", "data.handle=ada", stdin="y\n")
    assert edited.returncode == 0

    drain()
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select cognito_user_id, handle from users").fetchall() == [("ada", "ada")]
    assert queues.dead_letter_count() == 0
    assert queues.counts() == (0, 0, 0)
