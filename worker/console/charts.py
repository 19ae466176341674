"""Charts of the last hour, minute by minute, with their axes, and the times shaded in which workers were without the
database.

A chart is a picture 240 wide and 100 high that its page stretches; what is written beside it does not stretch with it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from math import ceil, log10

from worker.console.formats import duration, number
from worker.console.worker_status import Hour, Interval

WIDTH, HEIGHT = 240.0, 100.0
TIMES = 5  # that are written below
_SECONDS = (0.02, 0.1, 0.2, 0.5, 1, 2, 4, 10, 20, 60, 120, 240, 600, 1200, 3600, 7200, 14_400, 43_200, 86_400, 172_800)


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    width: float
    y: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """`paths` are its parts, between which nothing is known; `style` is its class."""

    name: str
    style: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shade:
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`ticks` are what is written beside it, from above to below, `times` below it. `summary` says the same in words;
    `empty` says why there is nothing to see, if there is not."""

    title: str
    note: str
    ticks: tuple[str, str, str]
    times: tuple[str, ...]
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    shades: tuple[Shade, ...]
    summary: str
    empty: str = ""


def charts(hour: Hour) -> list[Chart]:
    """Throughput, lag and depth."""
    return [_throughput(hour), _lag(hour), _depth(hour)]


def _throughput(hour: Hour) -> Chart:
    committed = [minute.committed for minute in hour.minutes]
    last = committed[-2] if len(committed) > 1 else 0
    return _chart(
        hour,
        "Written a minute",
        f"{number(last)} in the last whole minute, {number(sum(committed))} in the hour",
        [("written", "", [float(value) for value in committed])],
        number,
        top_of=_top_number,
        empty="" if any(committed) else "Nothing was written in the last hour.",
        bars=True,
    )


def _lag(hour: Hour) -> Chart:
    slow = [minute.lag_seconds.p99 for minute in hour.minutes]
    usual = [minute.lag_seconds.p50 for minute in hour.minutes]
    known = [value for value in slow if value is not None]
    return _chart(
        hour,
        "From event to row",
        f"the slowest of a hundred took {duration(max(known))} in the worst minute" if known else "",
        [("99 %", "second", slow), ("50 %", "", usual)],
        duration,
        top_of=_top_seconds,
        empty="" if known else "Nothing was written in the last hour.",
    )


def _depth(hour: Hour) -> Chart:
    waiting = [None if minute.visible is None else float(minute.visible) for minute in hour.minutes]
    known = [value for value in waiting if value is not None]
    return _chart(
        hour,
        "Waiting in the queue",
        f"{number(known[-1])} at last, {number(max(known))} at most" if known else "",
        [("waiting", "", waiting)],
        number,
        top_of=_top_number,
        empty="" if known else "No worker has said it: workers ask the queue where their admin address is on.",
    )


def _chart(
    hour: Hour,
    title: str,
    note: str,
    series: Sequence[tuple[str, str, Sequence[float | None]]],
    say: Callable[[float], str],
    *,
    top_of: Callable[[float], float],
    empty: str,
    bars: bool = False,
) -> Chart:
    top = top_of(max((value for _, _, values in series for value in values if value is not None), default=0.0))
    times = [minute.minute for minute in hour.minutes]
    step = WIDTH / len(times)
    return Chart(
        title=title,
        note=note,
        ticks=(say(top), say(top / 2), say(0)),
        times=tuple(f"{time:%H:%M}" for time in times[:: max(1, ceil(len(times) / TIMES))]),
        bars=tuple(_bars(series[0][2], times, step, top, say)) if bars else (),
        lines=() if bars else tuple(Line(name, style, _paths(values, step, top)) for name, style, values in series),
        shades=tuple(_shades(hour.outages, times[0], times[-1] + timedelta(minutes=1))),
        summary=f"{title} in the last hour: {note or empty}",
        empty=empty,
    )


def _top_number(highest: float) -> float:
    """1, 2 or 5 times a power of ten, not below it."""
    power = 10.0 ** int(log10(max(highest, 2.0)))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if max(highest, 2.0) <= factor * power)


def _top_seconds(highest: float) -> float:
    """A time that people have a word for, not below it."""
    return next((seconds for seconds in _SECONDS if highest <= seconds), highest)


def _bars(
    values: Sequence[float | None], times: Sequence[datetime], step: float, top: float, say: Callable[[float], str]
) -> Iterable[Bar]:
    for index, value in enumerate(values):
        if value:
            height = max(1.0, HEIGHT * value / top)
            title = f"{times[index]:%H:%M} UTC: {say(value)}"
            yield Bar(round(index * step, 2), round(step * 0.75, 2), round(HEIGHT - height, 2), round(height, 2), title)


def _paths(values: Sequence[float | None], step: float, top: float) -> tuple[str, ...]:
    """A minute of which nothing is known interrupts the line; one that is alone is a short one."""
    paths = []
    for known, run in groupby(enumerate(values), key=lambda item: item[1] is not None):
        if known:
            points = [(index * step, HEIGHT - HEIGHT * (value or 0.0) / top) for index, value in run]
            end = (points[-1][0] + step * 0.75, points[-1][1])
            paths.append("M" + " L".join(f"{x:.2f} {y:.2f}" for x, y in [*points, end]))
    return tuple(paths)


def _shades(outages: Iterable[Interval], begin: datetime, end: datetime) -> Iterable[Shade]:
    seconds = (end - begin).total_seconds()
    for outage in outages:
        since, until = max(outage.since, begin), min(outage.until or datetime.now(UTC), end)
        if until > since:
            x = WIDTH * (since - begin).total_seconds() / seconds
            width = max(0.5, WIDTH * (until - since).total_seconds() / seconds)
            title = f"{outage.since.astimezone(UTC):%H:%M:%S} UTC, for {duration((until - since).total_seconds())}"
            yield Shade(round(x, 2), round(width, 2), f"without the database from {title}")
