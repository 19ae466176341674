"""Token file: who may log in, each with a token of their own.

A line for each token, as `signup-sync console-token` makes it: `NAME:sha256:` and 64 digits. Empty lines and those that
begin with `#` say nothing. The file has only hashes: a token is 32 random bytes, so that one round of SHA-256 keeps it
(OWASP Password Storage Cheat Sheet is about what people choose).
"""

import hmac
import os
import re
import secrets
import stat
from hashlib import sha256
from pathlib import Path

import structlog

from worker.console.identity.people import NAME_RULE, Person, name_of

MAX_SIZE = 65_536  # bytes
TOKEN_BYTES = 32

_is_hash = re.compile(r"sha256:[0-9a-f]{64}").fullmatch

log = structlog.get_logger()


class UnusableTokenFile(Exception):
    """One line that names the file, and says what is wrong with it; no name and no hash is in it."""


def new_token() -> str:
    """A random one; 43 characters."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def line_of(name: str, token: str) -> str:
    """The line of the file that lets somebody in with that token."""
    return f"{name}:{_hash_of(token)}"


class TokenFile:
    """What opens a session: a token of the file, as the file is just then. Safe to use from any thread.

    A file that cannot be used lets nobody in, and the log says why.
    """

    asks_name = False

    def __init__(self, path: Path) -> None:
        """Raises `UnusableTokenFile`."""
        self._path = path
        read(path)

    def take(self, token: str, _: str) -> Person | None:
        """Whose token that is. The time that it takes does not tell which hash is like the token's."""
        given = _hash_of(token)
        found = None
        for person in self._people():
            if hmac.compare_digest(person.token_hash, given):
                found = person
        return found

    def admits(self, person: Person) -> bool:
        """Whether the line that let them in is still there."""
        return person in self._people()

    def _people(self) -> list[Person]:
        try:
            return read(self._path)
        except UnusableTokenFile as error:
            log.warning("token_file_refused", problem=str(error))
            return []


def read(path: Path) -> list[Person]:
    """All lines of the file. Raises `UnusableTokenFile`."""
    try:
        # A pipe that nobody writes to would be waited for.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            _check(path, os.fstat(file.fileno()))
            content = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise UnusableTokenFile(f"{path}: {error.strerror}") from None
    if len(content) > MAX_SIZE:
        raise UnusableTokenFile(f"{path} is longer than {MAX_SIZE} bytes")
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        raise UnusableTokenFile(f"{path} is not UTF-8") from None
    given = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    people = [_person(path, number, line) for number, line in given if line and not line.startswith("#")]
    if len({person.token_hash for person in people}) < len(people):
        raise UnusableTokenFile(f"{path} has the same token in two lines: make a new one for each")
    return people


def _check(path: Path, info: os.stat_result) -> None:
    """As ssh does with a private key (OpenSSH, `sshkey_perm_ok`), and a secret that root mounts may be the group's."""
    if not stat.S_ISREG(info.st_mode):
        raise UnusableTokenFile(f"{path} is no file")
    if info.st_uid not in (0, os.geteuid()):
        raise UnusableTokenFile(f"{path} belongs to somebody else: chown it")
    is_mine = info.st_uid == os.geteuid()
    if info.st_mode & (0o077 if is_mine else 0o027):
        mode = stat.S_IMODE(info.st_mode)
        raise UnusableTokenFile(f"others may read or write {path} (mode {mode:04o}): chmod 600 it")


def _person(path: Path, number: int, line: str) -> Person:
    text, _, hash_ = line.partition(":")
    name = name_of(text)
    if name is None:
        raise UnusableTokenFile(f"{path}, line {number}: it should begin with {NAME_RULE}")
    if not _is_hash(hash_):
        raise UnusableTokenFile(f"{path}, line {number}: it should be one that signup-sync console-token has made")
    return Person(name, "token", hash_)


def _hash_of(token: str) -> str:
    return "sha256:" + sha256(token.encode(errors="replace")).hexdigest()
