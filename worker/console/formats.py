"""Formats: times, numbers and outcomes in words."""

import time
from datetime import UTC, datetime

from worker.text import duration as _duration

OUTCOMES = {
    "replayed": "sent back",
    "edited": "edited and sent back",
    "deleted": "deleted",
    "invalid": "left: would fail again",
    "came_back": "left: failed again meanwhile",
    "not_sent": "left: could not be sent",
    "not_deleted": "still here too",
    "not_found": "not found",
    "enqueued": "enqueued",
    "not_enqueued": "not enqueued",
    "activities_kept": "enqueued, activities kept",
}

# How the name of somebody was proved.
PROOFS = {
    "none": "nothing",
    "declared": "nothing: declared",
    "token": "own token",
    "alb": "load balancer",
    "oidc": "OIDC issuer",
}


def duration(seconds: float | None) -> str:
    """`3d4h`, `5m12s`, `0s`; below ten seconds with a fraction: `0.42s`."""
    if seconds is None:
        return "-"
    if 0 < seconds < 10:
        return f"{seconds:.2g}s"
    return _duration(seconds)


def age(at: float | datetime | None) -> str:
    """How long ago that was: a time, or seconds since the epoch."""
    if at is None:
        return "-"
    since = at.timestamp() if isinstance(at, datetime) else at
    return _duration(max(0.0, time.time() - since))


def moment(at: float | datetime | None) -> str:
    """`2026-01-31 12:00:00 UTC`."""
    if at is None:
        return "-"
    try:
        time_ = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
        return f"{time_.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):  # outside the years 1 to 9999
        return "-"


def addressable(text: str) -> str:
    """Text that can be a part of an address, which is UTF-8: lone surrogates are replaced."""
    return text.encode(errors="replace").decode()


def number(value: float) -> str:
    """`12,345`."""
    return f"{value:,.0f}"
