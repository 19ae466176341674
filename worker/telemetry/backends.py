"""Backends of telemetry: what the worker tells of itself, and to whom, put together from the settings.

The parts tell `instrumentation` what happens. What they only know (`Sources`) they are asked for when somebody wants to
know.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

from worker.aws.sqs import Queue, QueueAttributes
from worker.clock import SYSTEM_CLOCK, Clock
from worker.settings import InvalidSettings, WorkerSettings
from worker.telemetry.admin_server import AdminServer, Page, as_json, text
from worker.telemetry.emf import Emf
from worker.telemetry.instrumentation import Instrumentation, Several, Waiting
from worker.telemetry.liveness import Liveness
from worker.telemetry.measurements import Measurements
from worker.telemetry.metrics_snapshot import MetricsSnapshot
from worker.telemetry.queue_depth import QueueDepth
from worker.telemetry.status import status
from worker.telemetry.tally import Tally
from worker.text import pause_in_words

if TYPE_CHECKING:
    from worker.telemetry.tracing import Tracing

TRACES_TIME = 2.0  # seconds in which the last traces are exported when the worker stops

log = structlog.get_logger()

_version_of = cache(version)  # a look into a folder, and a file to be parsed


@dataclass(frozen=True)
class Sources:
    """Whom to ask; `queues` are `events`, `dead_letters`, and `activities` where there is one."""

    gate_is_open: Callable[[], bool]
    in_flight: Callable[[], int]
    waiting: Callable[[], Sequence[Waiting]]
    pool_statistics: Callable[[], Mapping[str, int]]
    queues: Mapping[str, Queue]


class Telemetry:
    """Of one worker. `attach` comes before `threads`, which are to be run, and these before `stop`.

    Raises `InvalidSettings`, as `attach` does.
    """

    def __init__(self, settings: WorkerSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._tally = Tally(clock)
        self._version = _version_of("signup-sync")
        self._liveness = Liveness(settings.stuck_after_seconds)
        self._measurements = Measurements()
        self._tracing = _tracing(settings, self._version)
        self._admin: AdminServer | None = None
        self._emf: Emf | None = None
        self._depth: QueueDepth | None = None
        self._backends: list[Instrumentation] = [self._tally]
        if settings.admin or settings.metrics == "emf":
            self._backends += [self._liveness, self._measurements]
        self.instrumentation = self.of_queue(settings.queue_url)

    def of_queue(self, url: str) -> Instrumentation:
        """The hook for what comes from this queue: the same for all, but that traces name the queue."""
        tracing = [self._tracing.of_queue(url)] if self._tracing else []
        return Several([*self._backends, *tracing])

    def attach(self, sources: Sources) -> None:
        """Begin to listen on the admin address; `threads` answer."""
        read = partial(self._read, sources)
        if self._settings.admin:
            self._admin = self._listen(*self._settings.admin, self._pages(sources, read))
        if self._settings.metrics == "emf":
            self._emf = Emf(self._settings.queue_url.rpartition("/")[2], read)
        if self._emf or self._admin:
            self._depth = QueueDepth(sources.queues, self._remember_depth)

    @property
    def admin_address(self) -> str | None:
        """Where it listens, as host:port; None if it does not."""
        return self._admin.address if self._admin else None

    @property
    def threads(self) -> list[tuple[str, Callable[[], None]]]:
        """Their names and what they run."""
        parts = [("tally", self._tally), ("admin", self._admin), ("queue-depth", self._depth), ("emf", self._emf)]
        return [(name, part.run) for name, part in parts if part is not None]

    @property
    def counts(self) -> Mapping[str, int]:
        """What was done with messages since the start, as in `Tally`."""
        return self._tally.counts

    def stop(self) -> None:
        """Write and export what is left, in little time."""
        self._tally.stop()
        if self._depth:
            self._depth.stop()
        if self._emf:
            self._emf.stop()
        if self._tracing:
            self._tracing.stop(TRACES_TIME)
        if self._admin:
            self._admin.stop()

    def _remember_depth(self, queues: Mapping[str, QueueAttributes]) -> None:
        sources = self._settings.source_urls
        if queues.keys() >= sources.keys():
            self._measurements.visible(sum(queues[source].visible for source in sources))

    def _listen(self, host: str, port: int, pages: dict[str, Page]) -> AdminServer | None:
        try:
            return AdminServer(host, port, pages, self._settings.admin_hosts or ())
        except InvalidSettings as error:
            if "admin_address" in self._settings.model_fields_set:
                raise
            # Nobody has asked for it, and a second worker on a machine should not fail for the first one's port.
            log.warning("admin_off", reason=str(error))
            return None

    def _pages(self, sources: Sources, read: Callable[[], MetricsSnapshot]) -> dict[str, Page]:
        pages: dict[str, Page] = {
            "/livez": lambda _: self._livez(),
            "/readyz": lambda _: self._readyz(sources.gate_is_open()),
            "/status": lambda _: as_json(
                status(self._version, self._measurements, sources.in_flight(), sources.waiting())
            ),
        }
        if self._settings.metrics == "prometheus":
            from worker.telemetry.prometheus import Metrics  # noqa: PLC0415 (not loaded where nobody wants it)

            metrics = Metrics(read)

            def page(accept: str) -> tuple[HTTPStatus, str, bytes]:
                content, content_type = metrics.render(accept)
                return HTTPStatus.OK, content_type, content

            pages["/metrics"] = page
        return pages

    def _livez(self) -> tuple[HTTPStatus, str, bytes]:
        stuck = self._liveness.stuck()
        if stuck:
            return text(HTTPStatus.SERVICE_UNAVAILABLE, f"stuck: {' '.join(stuck)}")
        return text(HTTPStatus.OK, "alive")

    def _readyz(self, gate_is_open: bool) -> tuple[HTTPStatus, str, bytes]:
        # First, as it would hold when the database is back.
        if self._measurements.operator_pause is not None:
            return text(HTTPStatus.SERVICE_UNAVAILABLE, pause_in_words(self._measurements.operator_pause))
        if gate_is_open:
            return text(HTTPStatus.OK, "ready")
        pause = self._measurements.pause
        reason = "not yet" if pause is None else pause.reason
        return text(HTTPStatus.SERVICE_UNAVAILABLE, f"waiting for the database: {reason}")

    def _read(self, sources: Sources) -> MetricsSnapshot:
        return MetricsSnapshot(
            version=self._version,
            totals=self._measurements.totals(),
            in_flight=sources.in_flight(),
            paused=self._measurements.pause is not None,
            oldest_received=self._measurements.oldest_received(),
            pool=sources.pool_statistics(),
            queues=self._depth.latest if self._depth else {},
            paused_by_operator=self._measurements.operator_pause is not None,
            waiting={waiting.reason: waiting.messages for waiting in sources.waiting()},
        )


def _tracing(settings: WorkerSettings, version_: str) -> "Tracing | None":
    if settings.tracing == "off":
        return None
    try:
        from worker.telemetry.tracing import otlp  # noqa: PLC0415 (an optional dependency, and not loaded where it is off)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("opentelemetry"):
            raise
        raise InvalidSettings("TRACING=otlp needs more packages: pip install 'signup-sync[tracing]'") from None
    return otlp(settings.queue_url, version_)
