"""Queue depth: how many messages the queues hold, asked for again and again."""

import threading
from collections.abc import Callable, Mapping

from signup_sync.sqs import SqsError
from worker.aws.sqs import Queue, QueueAttributes
from worker.failure_log import FailureLog

INTERVAL = 30.0  # seconds between two looks; SQS's own counts are up to a minute old


class QueueDepth:
    """Looks at the queues, each under its name, and tells `on_look` what they say; `run` is its thread."""

    def __init__(
        self, queues: Mapping[str, Queue], on_look: Callable[[Mapping[str, QueueAttributes]], object] = bool
    ) -> None:
        self._queues = queues
        self._on_look = on_look
        self._latest: dict[str, QueueAttributes] = {}
        self._failures = FailureLog("queue_depth_unknown", "queue_depth_known")
        self._stopped = threading.Event()

    @property
    def latest(self) -> Mapping[str, QueueAttributes]:
        """What the queues said last; one that could not be asked is missing."""
        return self._latest

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        """Look until stopped."""
        self._look()
        while not self._stopped.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        latest = {}
        failure: SqsError | None = None
        for name, queue in self._queues.items():
            try:
                latest[name] = queue.describe()
            except SqsError as error:
                failure = error
        self._latest = latest
        self._on_look(latest)
        if failure is None:
            self._failures.success()
        else:
            self._failures.failure(code=failure.code, detail=str(failure))
