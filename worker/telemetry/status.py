"""Status: what `/status` says, one worker's last hour, as JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from db.tables.worker_pause import WorkerPause
from worker.telemetry.instrumentation import Waiting
from worker.telemetry.measurements import Histogram, Measurements, Minute
from worker.text import timestamp


def status(version: str, measurements: Measurements, in_flight: int, waiting: Sequence[Waiting]) -> dict[str, Any]:
    """Times are RFC 3339 in UTC, the lag is in seconds (null if nothing was committed), and the minutes are up to 60,
    the current one last; `visible` is how many messages of its queues nobody had, null where it was not asked.

    `paused_since` and `pause_reason` are those of an outage of the database, `pause` is the operators' (`since`, `who`,
    `reason`), each null if there is none; `outages` are the last hour's, the newest last. `waiting` is what waits for
    its user, author or parent, for each reason: the first of so many `messages` was put off at `since`, the last is
    visible again at `until` at the latest.
    """
    totals, minutes, pause = measurements.totals(), measurements.last_hour(), measurements.pause
    return {
        "version": version,
        "started_at": timestamp(measurements.started_at),
        "paused_since": None if pause is None else timestamp(pause.since),
        "pause_reason": None if pause is None else pause.reason,
        "pause": _operator_pause(measurements.operator_pause),
        "waiting": [_waiting(one) for one in waiting],
        "in_flight": in_flight,
        "received_total": totals.received,
        "committed_total": totals.committed.total(),
        "retried_total": totals.retried.total(),
        "dead_lettered_total": totals.dead_lettered.total(),
        "lag_seconds": _percentiles(minutes),
        "per_minute": [
            {
                "minute": timestamp(datetime.fromtimestamp(minute.number * 60, UTC)),
                "received": minute.received,
                "committed": minute.committed,
                "visible": minute.visible,
                "lag_seconds": _percentiles([minute]),
            }
            for minute in minutes
        ],
        "outages": [
            {
                "since": timestamp(outage.since),
                "until": None if outage.until is None else timestamp(outage.until),
                "reason": outage.reason,
            }
            for outage in measurements.outages()
        ],
    }


def _operator_pause(pause: WorkerPause | None) -> dict[str, str] | None:
    if pause is None:
        return None
    return {"since": timestamp(pause.paused_at), "who": pause.who, "reason": pause.reason}


def _waiting(waiting: Waiting) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "reason": waiting.reason,
        "messages": waiting.messages,
        "since": timestamp(now - timedelta(seconds=waiting.waited)),
        "until": timestamp(now + timedelta(seconds=waiting.left)),
    }


def _percentiles(minutes: list[Minute]) -> dict[str, float | None]:
    lag = Histogram(minutes[-1].lag_seconds.bounds)
    for minute in minutes:
        lag.add(minute.lag_seconds)
    quantiles = {name: lag.quantile(fraction) for name, fraction in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    return {name: None if value is None else round(value, 4) for name, value in quantiles.items()}
