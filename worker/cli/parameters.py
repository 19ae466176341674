"""Parameters that several commands take: text, durations, and points in time."""

import re
from datetime import UTC, datetime, timedelta

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_is_duration = re.compile(r"(\d{1,9})([smhdw])", re.ASCII).fullmatch


def text(value: str) -> str:
    """Text that can be sent and stored. Raises `click.BadParameter`.

    Bytes that are not UTF-8 come as lone surrogates (Python documentation, "os", "File Names, Command Line Arguments,
    and Environment Variables").
    """
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise click.BadParameter(f"{value!r} is not UTF-8")
    return value


def duration(text: str) -> timedelta:
    """A number and a unit, such as `90s`, `30m`, `24h`, `7d`, `2w`. Raises `click.BadParameter`."""
    match = _is_duration(text)
    if not match:
        raise click.BadParameter(f"{text!r} is not a duration such as 90s, 30m, 24h, 7d or 2w")
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise click.BadParameter(f"{text!r} is too long") from None


def point_in_time(text: str) -> datetime:
    """So long ago, or a date, or a date and time; UTC unless it says otherwise. Raises `click.BadParameter`."""
    try:
        if _is_duration(text):
            return datetime.now(UTC) - duration(text)
        given = datetime.fromisoformat(text)
        return (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is neither a duration such as 24h, nor a time such as 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from None
