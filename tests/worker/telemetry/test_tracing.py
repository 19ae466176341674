"""A trace begins where a person signs up or posts, and ends with the row."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from signup_sync.events import parse_event
from tests.support.dlq import Dlq
from tests.support.events import sign_up
from tests.support.sqs import Queues, aws_environment
from tests.support.wait import wait_until
from tests.support.worker_process import StartWorker
from tests.trigger_lambda.container import Container
from tests.worker.telemetry.running_telemetry import QUEUE_URL, commit, delivery
from worker.aws.sqs import Received
from worker.delivery import Delivery
from worker.telemetry.tracing import Tracing
from worker.text import id_for_logs

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"

ROOT = Path(__file__).parents[3]


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exported: InMemorySpanExporter) -> Iterator[Tracing]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    yield Tracing(provider, QUEUE_URL, "1.2.3")
    provider.shutdown()


def named(exported: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exported.get_finished_spans() if span.name == name]


def test_a_transaction_is_a_span_that_links_to_the_trace_of_each_event(
    tracing: Tracing, exported: InMemorySpanExporter
) -> None:
    tracing.committed(
        commit(
            delivery("ada", traceparent=SAMPLED),
            delivery("bob", traceparent=None),
            delivery("eve", traceparent="nonsense"),
        )
    )

    [span] = named(exported, "commit signup-events")
    assert (span.kind, span.parent) == (SpanKind.CONSUMER, None)
    assert dict(span.attributes or {}) == {
        "messaging.system": "aws_sqs",
        "messaging.destination.name": "signup-events",
        "messaging.operation.type": "process",
        "messaging.operation.name": "commit",
        "messaging.batch.message_count": 3,
        "aws.sqs.queue.url": QUEUE_URL,
        "server.address": "sqs.eu-west-1.amazonaws.com",
    }
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == pytest.approx(250_000_000, abs=2)
    [link] = span.links
    assert (f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") == (TRACE, SPAN)
    assert (link.attributes or {})["messaging.message.id"] == "message-of-ada"


def test_the_trace_of_an_event_goes_on_to_its_commit(tracing: Tracing, exported: InMemorySpanExporter) -> None:
    tracing.committed(commit(delivery("ada", traceparent=SAMPLED), delivery("bob", traceparent=None)))

    [span] = named(exported, "process signup-events")
    [transaction] = named(exported, "commit signup-events")
    assert span.context is not None
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert span.kind == SpanKind.CONSUMER
    assert [link.context for link in span.links] == [transaction.context]
    attributes = dict(span.attributes or {})
    assert attributes["messaging.message.id"] == "message-of-ada"
    assert attributes["cloudevents.event_id"] == id_for_logs("ada")
    assert attributes["cloudevents.event_type"] == "user.signed_up.v1"
    assert span.status.status_code == StatusCode.UNSET


def test_a_trace_that_is_not_sampled_is_not_recorded(tracing: Tracing, exported: InMemorySpanExporter) -> None:
    tracing.committed(commit(delivery("ada", traceparent=f"00-{TRACE}-{SPAN}-00")))

    assert named(exported, "process signup-events") == []
    assert len(named(exported, "commit signup-events")) == 1


@pytest.mark.parametrize("outcome", ["retried", "dead_lettered"])
def test_a_message_that_failed_has_a_failed_span(
    tracing: Tracing, exported: InMemorySpanExporter, outcome: str
) -> None:
    getattr(tracing, outcome)(delivery("ada", traceparent=SAMPLED), "unknown_author")

    [span] = exported.get_finished_spans()
    assert (span.attributes or {})["error.type"] == "unknown_author"
    assert span.status.status_code == StatusCode.ERROR


def test_a_message_that_is_no_event_has_no_span(tracing: Tracing, exported: InMemorySpanExporter) -> None:
    tracing.dead_lettered(
        Delivery(Received("id", "receipt", "{broken", 1, {}), received_at=time.monotonic()), "invalid_event"
    )

    assert exported.get_finished_spans() == ()


def test_no_span_holds_personal_data(tracing: Tracing, exported: InMemorySpanExporter) -> None:
    body = sign_up("sub-1", email="secret@example.com", display_name="Secret", handle="secret")
    secret = delivery("sub-1", traceparent=SAMPLED)
    secret.event = parse_event(json.dumps({**json.loads(body), "traceparent": SAMPLED}))

    tracing.committed(commit(secret))
    tracing.dead_lettered(secret, "rejected_by_database")

    spans = [span.to_json() for span in exported.get_finished_spans()]
    assert len(spans) == 3
    assert "secret" not in "".join(spans).lower()


class Collector:
    """The receiving end of OTLP over HTTP (OTLP Specification, "OTLP/HTTP"), which keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        kept = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf":
                    kept.append(ExportTraceServiceRequest.FromString(content))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (BaseHTTPRequestHandler's signature)
                """Nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def spans(self, name: str) -> list[Span]:
        return [
            span
            for request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if span.name.startswith(name)
        ]

    @property
    def services(self) -> set[str]:
        return {
            attribute.value.string_value
            for request in self.requests
            for resource in request.resource_spans
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        }


def confirmation(name: str) -> dict[str, object]:
    return {
        "triggerSource": "PostConfirmation_ConfirmSignUp",
        "userPoolId": "pool",
        "userName": name,
        "request": {"userAttributes": {"sub": name, "email": f"{name}@example.com"}},
    }


@pytest.fixture
def container(queues: Queues) -> Iterator[Container]:
    """The Lambda, which sends to the test's queue."""
    with Container({**aws_environment(queues.endpoint_url), "QUEUE_URL": queues.events_url}) as container:
        yield container


def test_a_trace_of_the_lambda_reaches_the_collector_with_the_commit(
    container: Container, start_worker: StartWorker
) -> None:
    container.invoke(confirmation("ada"), trace=f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=1;Lineage=1:a:0")
    collector = Collector()
    with collector.running():
        worker = start_worker(TRACING="otlp", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        worker.wait_for("batch_committed")
        worker.terminate()
        assert worker.wait() == 0  # what was not exported before is now
        wait_until(lambda: collector.spans("process"), 10, "no span has arrived")

    [process], [commit_] = collector.spans("process "), collector.spans("commit ")
    assert (process.trace_id.hex(), process.parent_span_id.hex()) == (TRACE, SPAN)
    assert [(link.trace_id, link.span_id) for link in process.links] == [(commit_.trace_id, commit_.span_id)]
    assert [link.trace_id.hex() for link in commit_.links] == [TRACE]
    assert collector.services == {"signup-sync"}


def test_a_collector_that_is_away_stops_no_worker(queues: Queues, start_worker: StartWorker) -> None:
    collector = Collector()
    with collector.running():
        gone = collector.url
    worker = start_worker(TRACING="otlp", OTEL_EXPORTER_OTLP_ENDPOINT=gone)
    queues.send(sign_up("ada"))
    worker.wait_for("batch_committed")

    worker.terminate()

    assert worker.wait() == 0
    assert not sum(queues.counts())


# What Lambda says of the trace, and what the event says then.
HEADERS: dict[str | None, str | None] = {
    f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=1": SAMPLED,
    f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=0": f"00-{TRACE}-{SPAN}-00",
    f"Sampled=1;Parent={SPAN};Self=x;Root=1-{TRACE[:8]}-{TRACE[8:]};Lineage=1:a:0": SAMPLED,
    f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN}": f"00-{TRACE}-{SPAN}-00",
    f"Root=1-{TRACE[:8]}-{TRACE[8:]}": None,
    f"Root=1-{'0' * 8}-{'0' * 24};Parent={SPAN};Sampled=1": None,
    f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={'0' * 16};Sampled=1": None,
    f"Root=2-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=1": None,
    "nonsense": None,
    "": None,
    None: None,
}


def test_the_lambda_passes_on_the_trace_that_it_is_told_of(container: Container, dlq: Dlq) -> None:
    for header, traceparent in HEADERS.items():
        container.invoke(confirmation("ada"), trace=header)

        [body] = dlq.event_bodies()
        event = json.loads(body)
        assert event.get("traceparent") == traceparent, header
        assert ("traceparent" in event) == (traceparent is not None), header
        assert parse_event(body).traceparent == traceparent, header


# What a worker imports that needs no traces; and what it says where they are wanted, and cannot be had.
IMPORTS = """
import sys
import worker.assembly, worker.cli.commands.run
from worker.settings import InvalidSettings, WorkerSettings
from worker.telemetry.backends import Telemetry
print(*{name.partition(".")[0] for name in sys.modules})
sys.modules["opentelemetry"] = None
given = {"DATABASE_URL": "dbname=app", "QUEUE_URL": "https://sqs/events", "DLQ_URL": "https://sqs/dead"}
try: Telemetry(WorkerSettings.from_environment({**given, "TRACING": "otlp"}))
except InvalidSettings as error: print(error)
"""


@pytest.mark.process
def test_nothing_of_opentelemetry_is_loaded_unless_it_is_wanted_and_where_it_is_missing_that_is_said() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True)

    loaded, said = done.stdout.splitlines()
    assert {"worker", "psycopg"} < set(loaded.split())
    assert "opentelemetry" not in loaded.split()
    assert said == "TRACING=otlp needs more packages: pip install 'signup-sync[tracing]'"
