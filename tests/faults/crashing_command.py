"""`signup-sync`, killed by itself (`kill -9`) at a boundary between two effects, which CRASH_AT names.

    CRASH_AT=after_commit python -m tests.faults.crashing_command worker

The product knows nothing of it: the boundary's function is wrapped before the command is run.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import db.migrations
import db.tables.activities
import worker.pipeline.writer
from db.connection import Connection
from db.pool import Database
from worker.__main__ import main
from worker.aws.sqs import Queue
from worker.pipeline.acknowledger import Acknowledger

Calls = Callable[..., bool]


def _crash() -> None:
    sys.stdout.write('{"event": "crashing"}\n')
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # until it has reached us


def _before(owner: object, name: str) -> None:
    def crash(*_: Any, **__: Any) -> None:
        _crash()

    setattr(owner, name, crash)


def _after(owner: object, name: str, applies: Calls = lambda *_, **__: True) -> None:
    """After the first call to which it applies; `applies` gets what the function got."""
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if applies(*args, **kwargs):
            _crash()
        return result

    setattr(owner, name, wrapped)


def _after_half(name: str, applies: Calls = lambda *_: True) -> None:
    """After a batch call of which only the first half of the entries was made."""
    original = getattr(Queue, name)

    def wrapped(queue: Queue, entries: list[Any]) -> Any:
        if not applies(queue, entries) or len(entries) < 2:
            return original(queue, entries)
        original(queue, entries[: len(entries) // 2])
        _crash()
        raise AssertionError("unreachable")

    setattr(Queue, name, wrapped)


def _after_receive() -> None:
    original = Queue.receive_together

    def wrapped(queue: Queue, calls: int, **kwargs: Any) -> Any:
        received = original(queue, calls, **kwargs)
        if received:
            _crash()
        return received

    setattr(Queue, "receive_together", wrapped)  # noqa: B010 (mypy would not have a method assigned to)


def _after_commit() -> None:
    original = Database.transaction

    @contextmanager
    def wrapped(database: Database) -> Iterator[Connection]:
        with original(database) as connection:
            yield connection
        _crash()

    setattr(Database, "transaction", wrapped)  # noqa: B010 (as above)


def _to(variable: str) -> Calls:
    return lambda queue, *_: queue.url == os.environ[variable]


def _in_thread(name: str) -> Calls:
    return lambda *_: threading.current_thread().name == name


BOUNDARIES: dict[str, Callable[[], None]] = {
    "after_receive": _after_receive,
    "after_insert_of_users_before_commit": lambda: _after(worker.pipeline.writer, "insert_users"),
    "after_insert_of_activities_before_commit": lambda: _after(worker.pipeline.writer, "insert_activities"),
    "after_insert_of_replies_before_they_are_counted": lambda: _before(db.tables.activities, "_count_replies"),
    "after_commit_before_any_delete": _after_commit,
    "after_half_of_the_deletes": lambda: _after_half("delete_together"),
    "after_the_deletes": lambda: _after(Queue, "delete_together"),
    "after_half_of_the_dead_letters": lambda: _after_half("send", _to("DLQ_URL")),
    "after_dead_letter_before_its_delete": lambda: _after(Queue, "send", _to("DLQ_URL")),
    "after_renewal_before_its_delete": lambda: _after(Queue, "send", _to("QUEUE_URL")),
    "after_event_was_put_off": lambda: _after(Queue, "change_visibility", _in_thread("visibility")),
    "after_lease_was_extended": lambda: _after(Queue, "change_visibility", _in_thread("leases")),
    "after_release": lambda: _after(Queue, "change_visibility", _in_thread("release")),
    "after_half_of_the_releases": lambda: _after_half("change_visibility", _in_thread("release")),
    "stopping_before_anything_is_released": lambda: _before(Acknowledger, "release"),
    "stopping_before_the_last_calls": lambda: _before(Acknowledger, "close"),
    "stopping_after_the_last_calls": lambda: _after(Acknowledger, "close"),
    # Of the operators' commands:
    "after_replay_before_its_delete": lambda: _after(Queue, "send", _to("QUEUE_URL")),
    "after_half_of_a_replay": lambda: _after_half("send", _to("QUEUE_URL")),
    "after_half_of_a_replay_s_deletes": lambda: _after_half("delete", _to("DLQ_URL")),
    "after_replay_s_deletes": lambda: _after(Queue, "delete", _to("DLQ_URL")),
    "after_migration_before_its_commit": lambda: _after(db.migrations, "run_sql"),
}


if __name__ == "__main__":
    BOUNDARIES[os.environ["CRASH_AT"]]()
    main()
