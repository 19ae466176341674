"""Prometheus: what `worker.telemetry.measurements` has counted, in the form that `/metrics` answers with.

The names follow Prometheus' "Metric and label naming". How old the oldest message of the queue is, SQS tells nobody but
CloudWatch (`ApproximateAgeOfOldestMessage`; it is no queue attribute). What a worker knows of it is how long the
messages had waited that it received: `signup_sync_oldest_received_message_age_seconds`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from signup_sync.events import EVENT_TYPES
from worker.failure import FAILURE_REASONS, RETRY_REASONS, WAITING_REASONS
from worker.telemetry.measurements import Histogram
from worker.telemetry.metrics_snapshot import MetricsSnapshot

_OPERATIONS = (
    "receive_message",
    "delete_message_batch",
    "change_message_visibility_batch",
    "send_message_batch",
    "get_queue_attributes",
)


class Metrics:
    """All metrics of one worker; `read` gives what they are made of."""

    def __init__(self, read: Callable[[], MetricsSnapshot]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_WorkerCollector(read))
        ProcessCollector(registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The metrics as they are now, in the form that suits this `Accept` header, and their content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _WorkerCollector(Collector):
    def __init__(self, read: Callable[[], MetricsSnapshot]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering does not collect (see `CollectorRegistry.register`)."""
        return []

    def collect(self) -> Iterator[Metric]:
        readings = self._read()
        yield from _totals(readings)
        yield from _gauges(readings)
        yield from _pool(readings)
        yield from _queues(readings)


def _totals(readings: MetricsSnapshot) -> Iterator[Metric]:
    totals = readings.totals
    yield CounterMetricFamily("signup_sync_received_messages", "Messages received.", value=totals.received)
    yield _counter("signup_sync_committed_messages", "Messages committed.", "type", EVENT_TYPES, totals.committed)
    yield _counter(
        "signup_sync_duplicate_messages",
        "Committed messages that changed nothing, as their row was there.",
        "type",
        EVENT_TYPES,
        totals.duplicates,
    )
    yield _counter(
        "signup_sync_ignored_messages",
        "Committed messages that changed nothing, as their user is deleted.",
        "type",
        EVENT_TYPES,
        totals.ignored,
    )
    yield _counter(
        "signup_sync_retried_messages", "Messages put off until later.", "reason", RETRY_REASONS, totals.retried
    )
    yield CounterMetricFamily(
        "signup_sync_released_messages", "Messages given back at once, in an outage or a stop.", value=totals.released
    )
    yield _counter(
        "signup_sync_dead_lettered_messages",
        "Messages moved to the dead-letter queue.",
        "reason",
        FAILURE_REASONS,
        totals.dead_lettered,
    )
    yield _histogram("signup_sync_batch_messages", "Messages in one transaction.", totals.batch_messages)
    yield _histogram("signup_sync_commit_seconds", "How long a transaction took.", totals.commit_seconds)
    yield _histogram("signup_sync_lag_seconds", "From an event's time to its commit.", totals.lag_seconds)
    yield _sqs_calls(totals.sqs_calls)


def _sqs_calls(calls: Counter[tuple[str, str]]) -> Metric:
    family = CounterMetricFamily(
        "signup_sync_sqs_calls",
        "Calls to SQS; the outcome is ok, partial (some entries failed) or an error's code.",
        labels=("operation", "outcome"),
    )
    never = dict.fromkeys(((operation, "ok") for operation in _OPERATIONS), 0)
    for (operation, outcome), count in sorted({**never, **calls}.items()):
        family.add_metric((operation_name(operation), outcome), count)
    return family


def _gauges(readings: MetricsSnapshot) -> Iterator[Metric]:
    info = GaugeMetricFamily("signup_sync_build_info", "Always 1.", labels=("version",))
    info.add_metric((readings.version,), 1)
    yield info
    yield GaugeMetricFamily("signup_sync_in_flight_messages", "Messages held.", value=readings.in_flight)
    yield GaugeMetricFamily(
        "signup_sync_paused", "1 while nothing is received because the database is away.", value=readings.paused
    )
    yield GaugeMetricFamily(
        "signup_sync_paused_by_operator",
        "1 while nothing is received because an operator has paused all workers.",
        value=readings.paused_by_operator,
    )
    waiting = GaugeMetricFamily(
        "signup_sync_waiting_messages",
        "Messages that this worker has put off until their user, author or parent is there.",
        labels=("reason",),
    )
    for reason in WAITING_REASONS:
        waiting.add_metric((reason,), readings.waiting.get(reason, 0))
    yield waiting
    oldest = GaugeMetricFamily(
        "signup_sync_oldest_received_message_age_seconds",
        "How long the longest-waiting message of the last minute or two had been in the queue when it was received; "
        "absent while paused.",
    )
    if readings.oldest_received is not None:
        oldest.add_metric((), readings.oldest_received)
    yield oldest


def _pool(readings: MetricsSnapshot) -> Iterator[Metric]:
    """Documentation of psycopg_pool, "Pool stats", says what each of these is; an outage starts them anew."""
    for name, documentation, key in (
        ("max_connections", "Connections that the pool may have.", "pool_max"),
        ("connections", "Connections that the pool has.", "pool_size"),
        ("idle_connections", "Connections that nobody uses.", "pool_available"),
        ("waiting_requests", "Transactions that wait for a connection.", "requests_waiting"),
    ):
        yield GaugeMetricFamily(f"signup_sync_pool_{name}", documentation, value=readings.pool.get(key, 0))
    for name, documentation, key in (
        ("requests", "Connections asked for.", "requests_num"),
        ("queued_requests", "Connections asked for that were not there at once.", "requests_queued"),
        ("request_errors", "Connections asked for and not had.", "requests_errors"),
        ("opened_connections", "Attempts to connect.", "connections_num"),
        ("connection_errors", "Attempts to connect that failed.", "connections_errors"),
        ("lost_connections", "Connections found broken.", "connections_lost"),
    ):
        yield CounterMetricFamily(f"signup_sync_pool_{name}", documentation, value=readings.pool.get(key, 0))
    for name, documentation, key in (
        ("wait_seconds", "Time in which transactions waited for a connection.", "requests_wait_ms"),
        ("usage_seconds", "Time in which connections were in use.", "usage_ms"),
    ):
        yield CounterMetricFamily(f"signup_sync_pool_{name}", documentation, value=readings.pool.get(key, 0) / 1000)


def _queues(readings: MetricsSnapshot) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "signup_sync_queue_messages",
        "Messages in a queue, approximately and up to a minute ago; absent if SQS does not say.",
        labels=("queue", "state"),
    )
    for name, attributes in readings.queues.items():
        family.add_metric((name, "visible"), attributes.visible)
        family.add_metric((name, "in_flight"), attributes.in_flight)
    yield family


def _counter(name: str, documentation: str, label: str, known: Iterable[str], counts: Counter[str]) -> Metric:
    """With a zero for what has not happened yet, so that its first time is a change that can be seen."""
    family = CounterMetricFamily(name, documentation, labels=(label,))
    for value, count in {**dict.fromkeys(known, 0), **counts}.items():
        family.add_metric((value,), count)
    return family


def _histogram(name: str, documentation: str, histogram: Histogram) -> Metric:
    buckets = [(f"{bound:g}", float(count)) for bound, count in histogram.shown()]
    return HistogramMetricFamily(name, documentation, [*buckets, ("+Inf", histogram.count)], histogram.sum)


def operation_name(operation: str) -> str:
    """AWS's name of what boto3 calls, for example, `receive_message`."""
    return operation.title().replace("_", "")
