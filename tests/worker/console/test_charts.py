"""The charts of the last hour."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from worker.console.charts import HEIGHT, WIDTH, charts
from worker.console.worker_status import Hour, Interval, Lag, Minute

NOW = datetime(2026, 1, 31, 12, 59, tzinfo=UTC)


def hour(*outages: Interval, **known: Mapping[int, object]) -> Hour:
    """`known` is by the number of the minute, of which there are 60; the last one is `NOW`."""
    minutes = [{name: values[n] for name, values in known.items() if n in values} for n in range(60)]
    return Hour(
        tuple(
            Minute.model_validate({"minute": NOW - timedelta(minutes=59 - n), **minute})
            for n, minute in enumerate(minutes)
        ),
        outages,
    )


def test_what_was_written_has_bars_under_an_axis_of_round_numbers() -> None:
    written, _, _ = charts(hour(committed={0: 30, 58: 15}))

    assert written.ticks == ("50", "25", "0")
    assert [(bar.x, bar.y, bar.height) for bar in written.bars] == [
        (0.0, HEIGHT * 0.4, HEIGHT * 0.6),
        (58 * WIDTH / 60, HEIGHT * 0.7, HEIGHT * 0.3),
    ]
    assert written.times == ("12:00", "12:12", "12:24", "12:36", "12:48")
    assert written.summary == "Written a minute in the last hour: 15 in the last whole minute, 45 in the hour"


def test_a_line_has_gaps_where_nothing_is_known() -> None:
    lag = {n: Lag(p50=0.5, p99=2.5) for n in (3, 4, 5, 30)}

    _, slow, waiting = charts(hour(lag_seconds=lag, visible={0: 0}))

    assert slow.ticks == ("4s", "2s", "0s")
    assert [(line.name, len(line.paths)) for line in slow.lines] == [("99 %", 2), ("50 %", 2)]
    assert slow.lines[0].paths[0].count("L") == 3
    assert waiting.ticks == ("2", "1", "0")


def test_what_is_not_known_is_said_to_be_and_not_drawn_as_nothing() -> None:
    written, lag, waiting = charts(hour())

    assert written.empty == lag.empty == "Nothing was written in the last hour."
    assert "No worker has said it" in waiting.empty


def test_outages_are_shaded_as_far_as_they_are_of_this_hour() -> None:
    before = Interval(since=NOW - timedelta(hours=2), until=NOW - timedelta(minutes=80))
    reaching_in = Interval(since=NOW - timedelta(hours=2), until=NOW - timedelta(minutes=29))
    short = Interval(since=NOW - timedelta(seconds=60), until=NOW - timedelta(seconds=59))

    written, _, _ = charts(hour(before, reaching_in, short, committed={0: 1}))

    assert [(shade.x, shade.width) for shade in written.shades] == [(0.0, WIDTH / 2), (58 * WIDTH / 60, 0.5)]
