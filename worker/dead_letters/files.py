"""Files of dead letters, as JSON Lines: written by `export` and `delete`, read by `import`.

A line is an object; what an import needs of it is `body`, the message as it was sent, and `attributes`, as the SQS API
has them (a binary value in Base64), of which one says from which queue it came (`worker.failure.SOURCE_QUEUE`). The
rest is for people. Such a file holds personal data: nobody but its owner may read it.
"""

import base64
import binascii
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from signup_sync.sqs import Attributes, Outgoing
from worker.dead_letters.dead_letter import DeadLetter, without_failure
from worker.failure import WORKER_CRASHED, source_attributes, source_queue
from worker.source_queue import SourceQueue

_OWNER_ONLY = 0o600
_DIGEST_BYTES = 16
_NOT_OURS = "is a link, or no file: remove it, or import from a folder where nobody else may write"

_is_digest = re.compile(rb"[0-9a-f]{32}").fullmatch


class UnreadableLine(ValueError):
    """A line that is not a dead letter; the text says which and why, and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Record:
    """A dead letter read from a file. Two lines with the same message of the same queue have the same `id`."""

    line: int
    message: Outgoing
    reason: str
    source_queue: SourceQueue

    @property
    def id(self) -> str:
        attributes = self.message.attributes | source_attributes(self.source_queue)
        content = json.dumps([self.message.body, written_attributes(attributes)], sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=_DIGEST_BYTES).hexdigest()

    @property
    def label(self) -> str:
        """How it is named to an operator."""
        return f"line {self.line}"


def to_line(letter: DeadLetter) -> str:
    """One line, without its end."""
    return json.dumps(
        {
            "id": letter.id,
            "type": letter.event_type,
            "reason": letter.reason,
            "detail": letter.detail,
            "sent_at": written_time(letter.message.sent_at),
            "attempts": letter.attempts,
            "attributes": written_attributes(letter.message.attributes),
            "body": letter.message.body,
        }
    )


def written_time(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def written_attributes(attributes: Attributes) -> dict[str, dict[str, str]]:
    """As they can be written as JSON: binary values in Base64."""
    return {
        name: {
            key: base64.b64encode(value).decode() if isinstance(value, bytes) else value for key, value in of.items()
        }
        for name, of in attributes.items()
    }


def read(path: Path) -> Iterator[Record]:
    """The dead letters of a file, without what said why they failed. Raises `UnreadableLine` and `OSError`."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _record(number, line)


def create(path: Path) -> IO[str]:
    """A file that was not there before, for its owner only. Raises `OSError`."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "w", encoding="utf-8")


class Journal:
    """Which messages of a file have been sent: a file beside it, with a line for each acknowledged one.

    The source of a transfer. A run that was cut off, and was told of a send but could not write that down, sends it
    again, which does no harm.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there. Raises `OSError`, also where somebody has put something else there than a file."""
        self.path = path.with_name(path.name + ".imported")
        self._sent: set[bytes] = set()
        self._file = os.fdopen(_open_beside(self.path), "a+b", buffering=0)
        self._file.seek(0)
        self._sent.update(bytes.fromhex(line.decode()) for line in self._file.read().split() if _is_digest(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._sent:
            self.path.unlink(missing_ok=True)

    def has(self, key: str) -> bool:
        """Whether it has not been sent yet."""
        return bytes.fromhex(key) not in self._sent

    def let_go(self, keys: Sequence[str]) -> dict[str, str]:
        """Write down that these were sent. The line before may have been cut off: so each begins with its own."""
        self._file.write("".join(f"\n{key}\n" for key in keys).encode())
        self._sent.update(map(bytes.fromhex, keys))
        return {}


def _open_beside(path: Path) -> int:
    """For appending: a file, or a new one. Where others may write they could have put a link there to another file of
    ours, which would be written to. Raises `OSError`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, _OWNER_ONLY)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, _NOT_OURS, str(path)) from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(descriptor)
        raise OSError(errno.EEXIST, _NOT_OURS, str(path))
    return descriptor


def _record(number: int, line: bytes) -> Record:
    try:
        content = json.loads(line)
        attributes = _read_attributes(content.get("attributes") or {})
        message = Outgoing(_text(content["body"]), without_failure(attributes))
        _ = message.size  # of what can be sent: its text is UTF-8, its attributes have their type
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnreadableLine(f"line {number} is not a dead letter of `signup-sync dlq export`") from None
    return Record(number, message, str(content.get("reason") or WORKER_CRASHED), source_queue(attributes))


def _read_attributes(attributes: dict[str, dict[str, Any]]) -> Attributes:
    """Raises `ValueError`, `AttributeError` or `TypeError`."""
    return {name: {key: _read_value(key, value) for key, value in of.items()} for name, of in attributes.items()}


def _read_value(key: str, value: object) -> str | bytes:
    text = _text(value)
    try:
        return base64.b64decode(text, validate=True) if key == "BinaryValue" else text
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value
