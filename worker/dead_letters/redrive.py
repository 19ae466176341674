"""Redrive by SQS itself, `StartMessageMoveTask`: SQS moves all messages of the dead-letter queue, and we watch.

It moves messages as they are: it cannot check an event first, and takes the failure attributes along (the worker
overwrites them should the event fail again). So it cannot keep what a replay promises, and is used only where that was
waived. Imitations of SQS answer it with all kinds of errors, and a role may lack the permission; where it cannot be
started, whatever the reason, the caller moves the messages itself.
"""

import time
from collections.abc import Iterator

from signup_sync.sqs import SqsError
from worker.aws.sqs import MOVES_PER_SECOND, MoveTask, MoveTasks

INTERVAL = 1.0  # seconds between two looks at the progress
_UNDER_WAY = ("RUNNING", "CANCELLING")  # SQS API Reference, ListMessageMoveTasksResultEntry, "Status"


def start(tasks: MoveTasks, destination_arn: str, rate: float | None) -> bool:
    """Start to move, unless a task is running already, which is then as good. False where SQS cannot."""
    per_second = None if rate is None else max(1, min(MOVES_PER_SECOND, int(rate)))
    try:
        latest = tasks.latest()
        if latest is None or latest.status not in _UNDER_WAY:
            tasks.start(destination_arn, per_second)
    except SqsError:
        return False
    return True


def follow(tasks: MoveTasks, interval: float = INTERVAL) -> Iterator[MoveTask]:
    """The task as it goes on, and last as it ended. Raises `SqsError`."""
    while True:
        task = tasks.latest()
        if task is not None:
            yield task
            if task.status not in _UNDER_WAY:
                return
        time.sleep(interval)


def cancel(tasks: MoveTasks) -> None:
    """Stop the running task, if there is one. Raises `SqsError`."""
    task = tasks.latest()
    if task is not None and task.handle is not None:
        tasks.cancel(task.handle)
