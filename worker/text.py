"""Text for people: from a message, without what could drive their terminal, ids, durations, times, and a pause."""

import hashlib
import re
import unicodedata
from datetime import UTC, datetime

from db.tables.worker_pause import WorkerPause

_is_uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch
_HASH_LENGTH = 12  # hexadecimal digits

_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def printable(text: str, *, lines: bool = False) -> str:
    """Text from a message, without what a terminal would obey: control characters, escape sequences, directions.

    They are shown by their code points. `lines` leaves line ends and tabs as they are.
    """
    if text.isprintable():
        return text
    return "".join(_shown(character, lines=lines) for character in text)


def id_for_logs(event_id: str) -> str:
    """A UUID as it is; of anything else, which may be somebody's address, `sha256:` and the hash's first 12 digits.

    The same id has the same each time, so that lines about it can be found. The Lambda has the same rule.
    """
    if _is_uuid(event_id):
        return event_id
    return "sha256:" + hashlib.sha256(event_id.encode()).hexdigest()[:_HASH_LENGTH]


def duration(seconds: float) -> str:
    """With the largest two units that it has: `3d4h`, `5m`, `0s`."""
    left = int(seconds)
    parts = []
    for unit, size in _UNITS:
        if left >= size:
            parts.append(f"{left // size}{unit}")
        left %= size
    return "".join(parts[:2]) or "0s"


def timestamp(time: datetime) -> str:
    """RFC 3339 in UTC, to the second: `2026-01-31T12:00:00Z`."""
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def pause_in_words(pause: WorkerPause) -> str:
    """`paused by grace since 2026-01-31T12:00:00Z: a failover is tested`, in one line."""
    return f"paused by {printable(pause.who)} since {timestamp(pause.paused_at)}: {printable(pause.reason)}"


def _shown(character: str, *, lines: bool) -> str:
    if character.isprintable() or (lines and character in "\n\t"):
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
