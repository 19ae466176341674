"""Worker status: the workers, as their admin servers describe them (`GET /status`).

Whatever answers there, it has a few seconds and some kilobytes, and what a page could not show is no status.
"""

import http.client
import json
import socket
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from worker.console.http_get import http_get

TIMEOUT = 2.0  # seconds, of connecting and of the whole answer each
MAX_ANSWER = 262_144  # bytes
MAX_ADDRESSES = 100  # of one name
MINUTES = 60


def _of_our_time(time: datetime) -> datetime:
    """With years to spare for a difference, and for another time zone."""
    if not 1970 <= time.year <= 9000:
        raise ValueError("is not of our time")
    return time


Time = Annotated[AwareDatetime, AfterValidator(_of_our_time)]
Count = Annotated[int, Field(ge=0, le=10**15)]
Seconds = Annotated[float, Field(ge=0, le=10**10, allow_inf_nan=False)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Lag(_Answer):
    """Seconds from an event's time to its commit."""

    p50: Seconds | None = None
    p95: Seconds | None = None
    p99: Seconds | None = None


class Minute(_Answer):
    """`visible` is how many messages of the queue nobody had, None if that is not known."""

    minute: Time
    received: Count = 0
    committed: Count = 0
    visible: Count | None = None
    lag_seconds: Lag = Lag()


class Interval(_Answer):
    """In which a worker was without the database; None is until now."""

    since: Time
    until: Time | None = None


class OperatorPause(_Answer):
    """Of all workers, as this one knows it."""

    since: Time
    who: str
    reason: str


class Waiting(_Answer):
    """What waits for a user, an author or a parent: the first was put off at `since`, the last is tried again by
    `until`."""

    reason: str
    messages: Count
    since: Time
    until: Time


class Status(_Answer):
    """What a worker says of itself; totals are since its start."""

    version: str
    started_at: Time
    paused_since: Time | None = None
    pause_reason: str | None = None
    pause: OperatorPause | None = None
    waiting: tuple[Waiting, ...] = ()
    in_flight: Count = 0
    received_total: Count = 0
    committed_total: Count = 0
    retried_total: Count = 0
    dead_lettered_total: Count = 0
    lag_seconds: Lag = Lag()
    per_minute: tuple[Minute, ...] = ()
    outages: tuple[Interval, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker that should be there; without a status, `problem` says why there is none."""

    address: str
    status: Status | None
    problem: str = ""


def ask_workers(urls: Sequence[str], executor: Executor) -> list[WorkerSeen]:
    """All of them, at once."""
    targets = [target for found in executor.map(_targets, urls) for target in found]
    return list(executor.map(_ask, targets))


@dataclass(frozen=True, slots=True)
class Hour:
    """The last one of all workers together, every minute of it."""

    minutes: tuple[Minute, ...]
    outages: tuple[Interval, ...]


def last_hour(workers: Iterable[WorkerSeen], now: datetime) -> Hour:
    """What was written is added up; of what all of them see, the most is taken."""
    known = [worker.status for worker in workers if worker.status]
    entries: defaultdict[datetime, list[Minute]] = defaultdict(list)
    for status in known:
        for entry in status.per_minute:
            entries[_whole(entry.minute)].append(entry)
    last = _whole(now)
    minutes = [last - timedelta(minutes=back) for back in reversed(range(MINUTES))]
    return Hour(
        tuple(_together(minute, entries[minute]) for minute in minutes),
        tuple(outage for status in known for outage in status.outages),
    )


def slowest(workers: Iterable[WorkerSeen]) -> Lag:
    return _highest_of(worker.status.lag_seconds for worker in workers if worker.status)


def _whole(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(second=0, microsecond=0)


def _together(minute: datetime, entries: Sequence[Minute]) -> Minute:
    return Minute.model_construct(  # without the bounds of what one worker says
        minute=minute,
        received=sum(entry.received for entry in entries),
        committed=sum(entry.committed for entry in entries),
        visible=max((entry.visible for entry in entries if entry.visible is not None), default=None),
        lag_seconds=_highest_of(entry.lag_seconds for entry in entries),
    )


def _highest_of(lags: Iterable[Lag]) -> Lag:
    """Of each percentile that of the worker where it is highest: those of all together cannot be had from them."""
    known = list(lags)
    return Lag(
        p50=_highest(lag.p50 for lag in known),
        p95=_highest(lag.p95 for lag in known),
        p99=_highest(lag.p99 for lag in known),
    )


@dataclass(frozen=True, slots=True)
class _Target:
    host: str  # and port, as the URL has them
    address: str  # of IP, or the name if it has none
    port: int
    problem: str = ""


def _targets(url: str) -> list[_Target]:
    """A target for each IPv4 address of the host, else for each of IPv6."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        except (OSError, UnicodeError):  # a name that is too long for IDNA is the latter
            continue
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        asked = [_Target(parts.netloc, address, port) for address in addresses[:MAX_ADDRESSES]]
        more = len(addresses) - len(asked)
        return [*asked, *([_Target(parts.netloc, host, port, f"{more} more addresses are not asked")] if more else [])]
    return [_Target(parts.netloc, host, port, problem="the name has no address: no worker is registered under it")]


def _ask(target: _Target) -> WorkerSeen:
    address = f"[{target.address}]:{target.port}" if ":" in target.address else f"{target.address}:{target.port}"
    if target.problem:
        return WorkerSeen(address, None, target.problem)
    try:
        status, content = _get_status(target)
        if status == http.HTTPStatus.MISDIRECTED_REQUEST:
            return WorkerSeen(address, None, f"it needs {urlsplit(f'//{target.host}').hostname} in ADMIN_HOSTS")
        if status != http.HTTPStatus.OK:
            return WorkerSeen(address, None, f"it answers with status {status}")
        return WorkerSeen(address, Status.model_validate(json.loads(content)))
    except OSError as error:
        return WorkerSeen(address, None, f"it does not answer ({error.strerror or type(error).__name__})")
    except (ValueError, RecursionError, http.client.HTTPException):  # a `ValidationError` is a `ValueError`
        return WorkerSeen(address, None, "what answers there is no worker")


def _get_status(target: _Target) -> tuple[int, bytes]:
    """The answer's status and the beginning of its content. Raises `OSError` and `http.client.HTTPException`."""
    with socket.create_connection((target.address, target.port), timeout=TIMEOUT) as connection:
        return http_get(connection, target.host, "/status", seconds=TIMEOUT, most=MAX_ANSWER)


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
