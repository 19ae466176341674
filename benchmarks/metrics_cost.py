"""What metrics, health and traces cost, with and without, in one run: `python -m benchmarks.metrics_cost`.

Two ways, since the cost is below what whole runs can tell apart on a busy machine. *The hooks alone*: all that the
parts of the worker tell while a full queue is drained in batches of 100, without the work. *The whole worker*: CPU a
message, alternating, medians and the smallest and largest run. Prints Markdown.
"""

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import click
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks.contestants import WORKER, Contestant
from benchmarks.database import Database
from benchmarks.messages import sign_ups
from benchmarks.queue_server import QueueServer
from benchmarks.run import measure
from db.tables.users import UsersInserted
from db.tables.written import Written
from signup_sync.events import parse_event
from worker.aws.sqs import Received
from worker.delivery import Delivery
from worker.telemetry.instrumentation import NO_INSTRUMENTATION, Committed, Instrumentation, Several
from worker.telemetry.liveness import Liveness
from worker.telemetry.measurements import Measurements
from worker.telemetry.metrics_snapshot import MetricsSnapshot
from worker.telemetry.prometheus import Metrics
from worker.telemetry.tracing import Tracing

BATCH = 100  # messages in one transaction
CALL = 10  # messages in one call to SQS
BATCHES = 200  # in one measurement of the hooks
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

KINDS = (
    Contestant("off", WORKER.command, {"ADMIN_ADDRESS": "off", "METRICS": "off"}),
    Contestant("prometheus", WORKER.command, {"ADMIN_ADDRESS": "127.0.0.1:0"}),
    Contestant("emf", WORKER.command, {"ADMIN_ADDRESS": "off", "METRICS": "emf"}),
)


class _Nowhere(SpanExporter):
    """Takes all spans, so that only the making of them is measured."""

    def export(self, spans: Sequence[object]) -> SpanExportResult:  # noqa: ARG002 (SpanExporter's signature)
        return SpanExportResult.SUCCESS


def deliveries(traceparent: str | None) -> list[Delivery]:
    found = []
    for body in sign_ups(BATCH):
        event = {**json.loads(body), "traceparent": traceparent}
        delivery = Delivery(Received("id", "receipt", json.dumps(event), 1, {}, time.time()), received_at=0.0)
        delivery.event = parse_event(delivery.message.body)
        found.append(delivery)
    return found


def drain(told: Instrumentation, batch: Sequence[Delivery]) -> None:
    """All that the parts tell of one batch."""
    users = UsersInserted({str(delivery.event.id) for delivery in batch if delivery.event})
    for start in range(0, BATCH, CALL):
        told.idle()
        told.busy(60.0)
        told.sqs_called("receive_message", "ok")
        told.received([delivery.message for delivery in batch[start : start + CALL]])
    told.busy(43.0)
    told.busy(43.0)
    now = time.monotonic()
    told.committed(Committed(batch, Written(users), now - 0.01, now))
    told.idle()
    for _ in range(0, BATCH, CALL):
        told.busy(60.0)
        told.sqs_called("delete_message_batch", "ok")
        told.idle()


def per_message(told: Instrumentation, batch: Sequence[Delivery]) -> float:
    """Microseconds of CPU."""
    gc.collect()
    began = time.process_time()
    for _ in range(BATCHES):
        drain(told, batch)
    return 1e6 * (time.process_time() - began) / (BATCHES * BATCH)


def hooks(rounds: int) -> dict[str, list[float]]:
    """Microseconds a message, of each backend, without what calling a hook that does nothing takes."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_Nowhere()))
    tracing = Tracing(provider, "https://sqs.us-east-1.amazonaws.com/1/events", "0")
    plain, traced = deliveries(None), deliveries(TRACEPARENT)
    kinds: dict[str, Callable[[], float]] = {
        "metrics and health": lambda: per_message(Several([Liveness(60), Measurements()]), plain),
        "traces, no event has a `traceparent`": lambda: per_message(tracing, plain),
        "traces, every event has a `traceparent`": lambda: per_message(tracing, traced),
    }
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        nothing = per_message(NO_INSTRUMENTATION, plain)
        for name, cost in kinds.items():
            found[name].append(cost() - nothing)
    provider.shutdown()
    return found


def scrape(rounds: int) -> list[float]:
    """Milliseconds of CPU that one answer to Prometheus takes."""
    measurements = Measurements()
    drain(measurements, deliveries(None))
    metrics = Metrics(lambda: MetricsSnapshot("0", measurements.totals(), 0, False, 0.0, {}, {}, False, {}))
    found = []
    for _ in range(rounds):
        began = time.process_time()
        metrics.render("text/plain")
        found.append(1e3 * (time.process_time() - began))
    return found


def whole(rounds: int, messages: int) -> dict[str, list[float]]:
    """Microseconds of CPU a message, of the whole worker."""
    found: dict[str, list[float]] = {kind.name: [] for kind in KINDS}
    with (
        Database() as database,
        QueueServer() as server,
        click.progressbar(length=rounds * len(KINDS), file=sys.stderr) as bar,
    ):
        for number in range(rounds):
            for kind in KINDS if number % 2 else reversed(KINDS):
                found[kind.name].append(measure(kind, server, database, messages).cpu)
                bar.update(1)
    return found


def row(name: str, values: Sequence[float]) -> str:
    return f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} to {max(values):.2f} |"


@click.command
@click.option("--rounds", default=5, show_default=True, help="How often each is measured.")
@click.option("--messages", default=10_000, show_default=True, help="In the queue of one run of the whole worker.")
@click.option("--hooks-only", is_flag=True, help="Leave the whole worker out, which needs Node.js.")
def main(rounds: int, messages: int, hooks_only: bool) -> None:
    """Measure what metrics, health and traces cost."""
    head = "| {} | median | smallest to largest |\n| --- | --- | --- |"
    click.echo(f"Measured {datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}, {rounds} rounds.\n")
    click.echo(head.format("hooks alone, µs of CPU a message"))
    for name, values in hooks(rounds).items():
        click.echo(row(name, values))
    click.echo("\n" + head.format("one scrape, ms of CPU"))
    click.echo(row("/metrics", scrape(rounds)))
    if hooks_only:
        return
    click.echo("\n" + head.format(f"whole worker, {messages} messages, µs of CPU a message"))
    for name, values in whole(rounds, messages).items():
        click.echo(row(name, values))


if __name__ == "__main__":
    main()
