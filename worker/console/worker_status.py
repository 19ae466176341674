"""Worker status: the workers, as their admin servers describe them (`GET /status`)."""

import http.client
import json
import socket
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

TIMEOUT = 2.0  # seconds, of connecting and of the answer each
MAX_ANSWER = 262_144  # bytes
MINUTES = 60


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Lag(_Answer):
    """Seconds from an event's time to its commit."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class Minute(_Answer):
    """`visible` is how many messages of the queue nobody had, None if that is not known."""

    minute: AwareDatetime
    received: int = 0
    committed: int = 0
    visible: int | None = None
    lag_seconds: Lag = Lag()


class Interval(_Answer):
    """In which a worker was without the database; None is until now."""

    since: AwareDatetime
    until: AwareDatetime | None = None


class OperatorPause(_Answer):
    """Of all workers, as this one knows it."""

    since: AwareDatetime
    who: str
    reason: str


class Waiting(_Answer):
    """What waits for its author or parent: the first was put off at `since`, the last is tried again at `until`."""

    reason: str
    messages: int
    since: AwareDatetime
    until: AwareDatetime


class Status(_Answer):
    """What a worker says of itself; totals are since its start."""

    version: str
    started_at: AwareDatetime
    paused_since: AwareDatetime | None = None
    pause_reason: str | None = None
    pause: OperatorPause | None = None
    waiting: tuple[Waiting, ...] = ()
    in_flight: int = 0
    received_total: int = 0
    committed_total: int = 0
    retried_total: int = 0
    dead_lettered_total: int = 0
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
    return Minute(
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
        except OSError:
            continue
        addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
        return [_Target(parts.netloc, address, port) for address in addresses]
    return [_Target(parts.netloc, host, port, problem="the name has no address: no worker is registered under it")]


def _ask(target: _Target) -> WorkerSeen:
    address = f"[{target.address}]:{target.port}" if ":" in target.address else f"{target.address}:{target.port}"
    if target.problem:
        return WorkerSeen(address, None, target.problem)
    connection = http.client.HTTPConnection(target.address, target.port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/status", headers={"Host": target.host, "Connection": "close"})
        answer = connection.getresponse()
        if answer.status == http.HTTPStatus.MISDIRECTED_REQUEST:
            return WorkerSeen(address, None, f"it needs {urlsplit(f'//{target.host}').hostname} in ADMIN_HOSTS")
        if answer.status != http.HTTPStatus.OK:
            return WorkerSeen(address, None, f"it answers with status {answer.status}")
        return WorkerSeen(address, Status.model_validate(json.loads(answer.read(MAX_ANSWER))))
    except (ValueError, ValidationError, http.client.HTTPException):
        return WorkerSeen(address, None, "what answers there is no worker")
    except OSError as error:
        return WorkerSeen(address, None, f"it does not answer ({error.strerror or type(error).__name__})")
    finally:
        connection.close()


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
