"""Status: what `/status` says, one worker's last hour, as JSON."""

from datetime import UTC, datetime
from typing import Any

from worker.telemetry.measurements import Histogram, Measurements, Minute


def status(version: str, measurements: Measurements, in_flight: int) -> dict[str, Any]:
    """Times are RFC 3339 in UTC, the lag is in seconds (null if nothing was committed), and the minutes are up to 60,
    the current one last; `waiting` is null where the queue was not asked. `pauses` are the last hour's, the newest
    last."""
    totals, minutes, pause = measurements.totals(), measurements.last_hour(), measurements.pause
    return {
        "version": version,
        "started_at": _timestamp(measurements.started_at),
        "paused_since": None if pause is None else _timestamp(pause.since),
        "pause_reason": None if pause is None else pause.reason,
        "in_flight": in_flight,
        "received_total": totals.received,
        "committed_total": totals.committed.total(),
        "retried_total": totals.retried.total(),
        "dead_lettered_total": totals.dead_lettered.total(),
        "lag_seconds": _percentiles(minutes),
        "per_minute": [
            {
                "minute": _timestamp(datetime.fromtimestamp(minute.number * 60, UTC)),
                "received": minute.received,
                "committed": minute.committed,
                "waiting": minute.waiting,
                "lag_seconds": _percentiles([minute]),
            }
            for minute in minutes
        ],
        "pauses": [
            {
                "since": _timestamp(pause.since),
                "until": None if pause.until is None else _timestamp(pause.until),
                "reason": pause.reason,
            }
            for pause in measurements.pauses()
        ],
    }


def _percentiles(minutes: list[Minute]) -> dict[str, float | None]:
    lag = Histogram(minutes[-1].lag_seconds.bounds)
    for minute in minutes:
        lag.add(minute.lag_seconds)
    quantiles = {name: lag.quantile(fraction) for name, fraction in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    return {name: None if value is None else round(value, 4) for name, value in quantiles.items()}


def _timestamp(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
