"""Embedded metric format: the metrics as log lines, from which CloudWatch makes metrics.

One line a minute, and a line for each type, reason and kind of call that there was.

Amazon CloudWatch User Guide, "Specification: Embedded metric format". Counts are those of the minute. Of a distribution
CloudWatch takes at most 100 values ("Target members"): what stands for it are its 100 quantiles, or all values of
fewer, as close as the buckets of `worker.telemetry.measurements` are; so averages and percentiles are right, and
`SampleCount` is not the number of messages.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from structlog import PrintLogger

from worker.telemetry.measurements import Histogram, Totals
from worker.telemetry.metrics_snapshot import MetricsSnapshot

NAMESPACE = "SignupSync"
INTERVAL = 60.0  # seconds
MAX_VALUES = 100  # of one metric in one line

Value = float | list[float]


class Emf:
    """Writes the metrics of the queue of this name; `read` gives what they are made of, `run` is a thread."""

    def __init__(self, queue_name: str, read: Callable[[], MetricsSnapshot]) -> None:
        self._queue_name = queue_name
        self._read = read
        self._written = Totals()
        self._stopped = threading.Event()
        # Whatever the log's level and format are; it shares the lock of the other loggers of standard output.
        self._logger = PrintLogger(sys.stdout)

    def run(self) -> None:
        """Write once a minute, until stopped."""
        while not self._stopped.wait(INTERVAL):
            self.write()

    def stop(self) -> None:
        """Write what has not been written."""
        self._stopped.set()
        self.write()

    def write(self) -> None:
        readings = self._read()
        new, self._written = readings.totals.since(self._written), readings.totals
        timestamp = int(time.time() * 1000)
        for dimensions, metrics in self._sets(readings, new):
            self._logger.msg(json.dumps(document(timestamp, {"QueueName": self._queue_name, **dimensions}, metrics)))

    @staticmethod
    def _sets(readings: MetricsSnapshot, new: Totals) -> Iterator[tuple[dict[str, str], dict[str, tuple[str, Value]]]]:
        """Metrics by their dimensions: a name has a unit and a value."""
        yield {}, {**_counts(new), **_distributions(new), **_gauges(readings)}
        for type_, count in new.committed.items():
            yield {"Type": type_}, _by_type(count, new.duplicates[type_], new.ignored[type_])
        for name, counter in (("Retried", new.retried), ("DeadLettered", new.dead_lettered)):
            for reason, count in counter.items():
                yield {"Reason": reason}, {name: ("Count", count)}
        for reason, messages in readings.waiting.items():
            yield {"Reason": reason}, {"WaitingMessages": ("Count", messages)}
        for (operation, outcome), count in new.sqs_calls.items():
            name = operation.title().replace("_", "")
            yield {"Operation": name, "Outcome": outcome}, {"SqsCalls": ("Count", count)}


def document(timestamp: int, dimensions: Mapping[str, str], metrics: Mapping[str, tuple[str, Value]]) -> dict[str, Any]:
    """A root node ("Root node"); `timestamp` is in milliseconds since the epoch."""
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name, (unit, _) in metrics.items()],
    }
    values = {name: value for name, (_, value) in metrics.items()}
    return {"_aws": {"Timestamp": timestamp, "CloudWatchMetrics": [directive]}, **dimensions, **values}


def _counts(new: Totals) -> dict[str, tuple[str, Value]]:
    return {
        "Received": ("Count", new.received),
        "Committed": ("Count", new.committed.total()),
        "Duplicates": ("Count", new.duplicates.total()),
        "Ignored": ("Count", new.ignored.total()),
        "Retried": ("Count", new.retried.total()),
        "Released": ("Count", new.released),
        "DeadLettered": ("Count", new.dead_lettered.total()),
        "SqsCalls": ("Count", new.sqs_calls.total()),
    }


def _by_type(committed: int, duplicates: int, ignored: int) -> dict[str, tuple[str, Value]]:
    return {"Committed": ("Count", committed), "Duplicates": ("Count", duplicates), "Ignored": ("Count", ignored)}


def _distributions(new: Totals) -> dict[str, tuple[str, Value]]:
    """Those that have values: an empty list is none."""
    all_ = {
        "BatchMessages": ("Count", values(new.batch_messages)),
        "CommitTime": ("Seconds", values(new.commit_seconds)),
        "Lag": ("Seconds", values(new.lag_seconds)),
    }
    return {name: (unit, found) for name, (unit, found) in all_.items() if found}


def values(histogram: Histogram) -> list[float]:
    """As many values as it has, at most `MAX_VALUES`, that are distributed like them."""
    count = min(histogram.count, MAX_VALUES)
    quantiles = [histogram.quantile((number + 0.5) / count) for number in range(count)]
    return [round(value, 6) for value in quantiles if value is not None]


def _gauges(readings: MetricsSnapshot) -> dict[str, tuple[str, Value]]:
    gauges: dict[str, tuple[str, Value]] = {
        "InFlight": ("Count", readings.in_flight),
        "Paused": ("None", int(readings.paused)),
        "PausedByOperator": ("None", int(readings.paused_by_operator)),
        "WaitingMessages": ("Count", sum(readings.waiting.values())),
        "PoolConnections": ("Count", readings.pool.get("pool_size", 0)),
        "PoolIdleConnections": ("Count", readings.pool.get("pool_available", 0)),
        "PoolWaitingRequests": ("Count", readings.pool.get("requests_waiting", 0)),
    }
    if readings.oldest_received is not None:
        gauges["OldestReceivedAge"] = ("Seconds", round(readings.oldest_received, 3))
    for name, prefix in (("events", "Queue"), ("activities", "ActivitiesQueue"), ("dead_letters", "DeadLetter")):
        if attributes := readings.queues.get(name):
            gauges[f"{prefix}VisibleMessages"] = ("Count", attributes.visible)
            gauges[f"{prefix}InFlightMessages"] = ("Count", attributes.in_flight)
    return gauges
