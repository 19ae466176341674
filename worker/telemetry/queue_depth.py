"""How many messages the two queues hold, asked for again and again."""

import threading
from collections.abc import Mapping

import structlog

from signup_sync.sqs import SqsError
from worker.aws.sqs import Queue, QueueAttributes

INTERVAL = 30.0  # seconds between two looks; SQS's own counts are up to a minute old

log = structlog.get_logger()


class QueueDepth:
    """Looks at the queues, each under its name; `run` is its thread."""

    def __init__(self, queues: Mapping[str, Queue]) -> None:
        self._queues = queues
        self._latest: dict[str, QueueAttributes] = {}
        self._failing = False
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
        error: SqsError | None = None
        for name, queue in self._queues.items():
            try:
                latest[name] = queue.describe()
            except SqsError as failure:
                error = failure
        self._latest = latest
        self._report(error)

    def _report(self, error: SqsError | None) -> None:
        """Once when it begins to fail, and once when it works again."""
        if error is not None and not self._failing:
            log.warning("queue_depth_unknown", code=error.code, detail=str(error))
        elif error is None and self._failing:
            log.info("queue_depth_known")
        self._failing = error is not None
