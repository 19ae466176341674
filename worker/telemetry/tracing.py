"""Traces with OpenTelemetry, from the publisher's span to the commit. Imported only where they are wanted.

Two kinds of spans, named and described by OpenTelemetry's "Semantic conventions for messaging spans" and "Semantic
conventions for AWS SQS" (version 1.44.0, status: development):

- `commit <queue>`, one a transaction: a root, with a link to the creation context of each message (the event's
  `traceparent`), since a span can have only one parent.
- `process <queue>`, one for each message whose event has a `traceparent`: a child of the creation context, from the
  receive to the commit, with a link to the transaction ("Message creation context as parent of "Process" span"). So
  a trace that begins in the Lambda or in a publisher ends with the row. One that is put off or dead has a failed span.

Whether a `process` span is recorded is for who began the trace to say (its `sampled` flag); for `commit` spans see
OTEL_TRACES_SAMPLER. All settings are OpenTelemetry's own (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME, ...).
"""

import time
from collections.abc import Sequence
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from worker.telemetry.instrumentation import Committed, Instrumentation
from worker.text import id_for_logs

if TYPE_CHECKING:
    from worker.delivery import Delivery

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

_propagator = TraceContextTextMapPropagator()


class Tracing(Instrumentation):
    """Makes spans of what it is told; they are exported in the background."""

    def __init__(self, provider: TracerProvider, queue_url: str, version: str) -> None:
        self._provider = provider
        self._version = version
        self._tracer = provider.get_tracer("signup-sync", version, schema_url=SCHEMA_URL)
        url = urlsplit(queue_url)
        self._queue_name = url.path.rpartition("/")[2]
        self._attributes: dict[str, AttributeValue] = {
            "messaging.system": "aws_sqs",
            "messaging.destination.name": self._queue_name,
            "messaging.operation.type": "process",
            "aws.sqs.queue.url": queue_url,
            "server.address": url.hostname or "",
        }

    def of_queue(self, queue_url: str) -> "Tracing":
        """The same, of messages of that queue."""
        return Tracing(self._provider, queue_url, self._version)

    def committed(self, batch: Committed) -> None:
        clock, origins = _Clock(), _origins(batch)
        links = [Link(get_current_span(origin).get_span_context(), _message(d)) for d, origin in origins]
        span = self._tracer.start_span(
            f"commit {self._queue_name}",
            Context(),
            SpanKind.CONSUMER,
            {
                **self._attributes,
                "messaging.operation.name": "commit",
                "messaging.batch.message_count": len(batch.deliveries),
            },
            links,
            start_time=clock.at(batch.began),
        )
        span.end(clock.at(batch.ended))
        transaction = [Link(span.get_span_context())]
        for delivery, origin in origins:
            began, ended = clock.at(delivery.received_at), clock.at(batch.ended)
            self._process(delivery, origin, began, links=transaction).end(ended)

    def retried(self, delivery: "Delivery", reason: str) -> None:
        self._failed(delivery, reason)

    def dead_lettered(self, delivery: "Delivery", reason: str) -> None:
        self._failed(delivery, reason)

    def stop(self, timeout: float) -> None:
        """Export what there is, in so many seconds at most."""
        # In a thread, because the exporter tries again for longer than anybody who stops us would wait.
        thread = Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        thread.join(timeout)

    def _failed(self, delivery: "Delivery", reason: str) -> None:
        origin = _origin(delivery)
        if origin is not None:
            span = self._process(delivery, origin, _Clock().at(delivery.received_at))
            span.set_attribute("error.type", reason)
            span.set_status(Status(StatusCode.ERROR, reason))
            span.end()

    def _process(self, delivery: "Delivery", origin: Context, began: int, links: Sequence[Link] = ()) -> Span:
        return self._tracer.start_span(
            f"process {self._queue_name}",
            origin,
            SpanKind.CONSUMER,
            {**self._attributes, "messaging.operation.name": "process", **_message(delivery)},
            links,
            start_time=began,
        )


class _Clock:
    """Turns `time.monotonic` into nanoseconds since the epoch."""

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def at(self, moment: float) -> int:
        return self._offset + int(moment * 1e9)


def _origin(delivery: "Delivery") -> Context | None:
    """The creation context, if there is one that can be read (W3C Trace Context, "traceparent Header")."""
    if delivery.event is None or delivery.event.traceparent is None:
        return None
    origin = _propagator.extract({"traceparent": delivery.event.traceparent}, Context())
    return origin if get_current_span(origin).get_span_context().is_valid else None


def _origins(batch: Committed) -> list[tuple["Delivery", Context]]:
    """The deliveries that have a creation context, each with it."""
    found = [(delivery, _origin(delivery)) for delivery in batch.deliveries]
    return [(delivery, origin) for delivery, origin in found if origin is not None]


def _message(delivery: "Delivery") -> dict[str, AttributeValue]:
    event = delivery.event
    if event is None:
        return {"messaging.message.id": delivery.message.message_id}
    return {
        "messaging.message.id": delivery.message.message_id,
        "cloudevents.event_id": id_for_logs(str(event.id)),
        "cloudevents.event_type": event.type,
    }


def otlp(queue_url: str, version: str) -> Tracing:
    """Traces that go to the collector of OTEL_EXPORTER_OTLP_ENDPOINT, over HTTP."""
    # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say wins.
    given = Resource.create()
    named = (
        {} if not str(given.attributes[SERVICE_NAME]).startswith("unknown_service") else {SERVICE_NAME: "signup-sync"}
    )
    provider = TracerProvider(resource=given.merge(Resource(named)), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider, queue_url, version)
