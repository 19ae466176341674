"""Keys: the public keys by which a load balancer or an issuer signs, fetched when they are needed.

Whoever reaches the port can name keys that do not exist. What is fetched for that is bounded: one at a time, with a
deadline and a size, and so many a minute.
"""

import asyncio
import http.client
import ipaddress
import json
import re
import socket
import ssl
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

import jwt
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from starlette.concurrency import run_in_threadpool

from worker.console.http_get import http_get

TIMEOUT = 5.0  # seconds, of connecting, of the handshake and of the whole answer each
MAX_ANSWER = 262_144  # bytes
MAX_KEYS = 32
MAX_UNKNOWN = 1000  # key ids that were asked for in vain
UNKNOWN_FOR = 300.0  # seconds for which such an id is not asked for again
MAX_FETCHES = 20  # in a minute
AGAIN_AFTER = 30.0  # seconds from a fetch of an issuer's keys to the next one
FRESH_FOR = 3600.0  # seconds after which an issuer's keys are fetched again, so that a withdrawn one ends
RSA_BITS = range(2048, 8193)  # RFC 7518, 3.3: "2048 bits or larger"

Key = EllipticCurvePublicKey | RSAPublicKey

log = structlog.get_logger()

# An example is in the section that `AlbKeys` names.
_is_key_id = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII).fullmatch


class KeysAway(Exception):
    """A key could not be fetched just now; one line that says why."""


class Keys(Protocol):
    """Used by one event loop."""

    async def find(self, key_id: str, *, fetch: bool) -> Key | None:
        """The key of that id; None if there is none. Raises `KeysAway`.

        Without `fetch` only what is known already, where strangers' ids would be fetched one by one.
        """


class AlbKeys:
    """Of Application Load Balancers, each at an address of its own, and never another one under the same id.

    Elastic Load Balancing, User Guide for Application Load Balancers, "Authenticate users using an Application Load
    Balancer", section "User claims encoding and signature verification".
    """

    def __init__(self, url: str, now: Callable[[], float] = time.monotonic) -> None:
        """`url` is what stands before `/` and the id of a key."""
        self._url = url
        self._now = now
        self._turn = asyncio.Lock()
        self._keys: OrderedDict[str, Key] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()  # and when they were asked for
        self._fetches: deque[float] = deque(maxlen=MAX_FETCHES)

    async def find(self, key_id: str, *, fetch: bool) -> Key | None:
        if not _is_key_id(key_id):  # it becomes a part of an address
            return None
        if key_id not in self._keys and fetch:
            async with _turn(self._turn):
                if key_id not in self._keys and not self._is_unknown(key_id):
                    await self._fetch(key_id)
        if key_id in self._keys:
            self._keys.move_to_end(key_id)
        return self._keys.get(key_id)

    async def _fetch(self, key_id: str) -> None:
        now = self._now()
        if len(self._fetches) == MAX_FETCHES and now - self._fetches[0] < 60:
            raise KeysAway("too many unknown keys were asked for")
        self._fetches.append(now)
        status, content = await run_in_threadpool(_get, f"{self._url}/{key_id}")
        if status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):  # S3 answers either, by what one may list
            self._unknown[key_id] = now
            if len(self._unknown) > MAX_UNKNOWN:
                self._unknown.popitem(last=False)
            return
        self._keys[key_id] = _p256_key(_checked(status, content))
        if len(self._keys) > MAX_KEYS:
            self._keys.popitem(last=False)

    def _is_unknown(self, key_id: str) -> bool:
        return self._now() - self._unknown.get(key_id, float("-inf")) < UNKNOWN_FOR


class IssuerKeys:
    """Of an OpenID Connect issuer, all in one document (RFC 7517, 5 "JWK Set Format").

    That of an hour before holds until another one could be fetched.
    """

    def __init__(self, issuer: str, now: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._now = now
        self._turn = asyncio.Lock()
        self._keys: dict[str, Key] = {}
        self._fetched_at = self._tried_at = float("-inf")

    async def find(self, key_id: str, *, fetch: bool) -> Key | None:  # noqa: ARG002 (strangers' ids are one fetch)
        known = self._keys.get(key_id)
        if known is None or (self._is_old and not self._turn.locked()):
            async with _turn(self._turn):
                if (self._is_old or key_id not in self._keys) and self._now() - self._tried_at >= AGAIN_AFTER:
                    await self._fetch()
        if not self._keys:
            raise KeysAway("the issuer's keys could not be fetched")
        return self._keys.get(key_id)

    @property
    def _is_old(self) -> bool:
        return self._now() - self._fetched_at > FRESH_FOR

    async def _fetch(self) -> None:
        self._tried_at = self._now()
        try:
            self._keys = await run_in_threadpool(_issuer_keys, self._issuer)
            self._fetched_at = self._tried_at
        except KeysAway as error:
            log.warning("issuer_keys_not_fetched", problem=str(error))


@asynccontextmanager
async def _turn(lock: asyncio.Lock) -> AsyncIterator[None]:
    """In the row of those who want a key that must be fetched. Raises `KeysAway` after a while."""
    try:
        async with asyncio.timeout(TIMEOUT):
            await lock.acquire()
    except TimeoutError:
        raise KeysAway("other keys are being fetched") from None
    try:
        yield
    finally:
        lock.release()


def _issuer_keys(issuer: str) -> dict[str, Key]:
    """OpenID Connect Discovery 1.0, 4 "Obtaining OpenID Provider Configuration Information". Raises `KeysAway`."""
    configuration = _json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if configuration.get("issuer") != issuer:  # 4.3
        raise KeysAway("who answers at CONSOLE_OIDC_ISSUER is another issuer")
    url = configuration.get("jwks_uri")
    if not isinstance(url, str) or not is_secure(url):
        raise KeysAway("the issuer names no https address of its keys")
    given = _json(url).get("keys")
    if not isinstance(given, list):
        raise KeysAway("the issuer has no list of keys")
    keys: dict[str, Key] = {entry["kid"]: key for entry in given[:MAX_KEYS] if (key := _rsa_key(entry)) is not None}
    if not keys:
        raise KeysAway("the issuer has no RSA key with an id")
    return keys


def is_secure(url: str) -> bool:
    """Whether it is an address of HTTPS, or of this machine, without anything that an issuer's has not.

    OpenID Connect Core 1.0, 2 "ID Token": "https scheme that contains scheme, host, and optionally, port number and
    path components and no query or fragment components".
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.username or parts.query or parts.fragment or not url.isascii():
        return False
    if not url.isprintable() or " " in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(host))


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _rsa_key(entry: object) -> RSAPublicKey | None:
    """A key of a set, if it can check RS256; other keys are for something else."""
    if not isinstance(entry, dict) or entry.get("kty") != "RSA" or not isinstance(entry.get("kid"), str):
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    try:
        key = jwt.PyJWK({name: entry.get(name) for name in ("kty", "n", "e")}, algorithm="RS256").key
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size in RSA_BITS else None


def _p256_key(pem: bytes) -> EllipticCurvePublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise KeysAway("what answers is no key") from None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise KeysAway("what answers is no key for ES256")
    return key


def _json(url: str) -> Mapping[str, Any]:
    """Raises `KeysAway`."""
    content = _checked(*_get(url))
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise KeysAway("what answers is no JSON") from None
    return document if isinstance(document, dict) else {}


def _checked(status: int, content: bytes) -> bytes:
    if status != HTTPStatus.OK:
        raise KeysAway(f"it answers with status {status}")
    if len(content) > MAX_ANSWER:
        raise KeysAway("the answer is too long")
    return content


def _get(url: str) -> tuple[int, bytes]:
    """Status and content, which may be one byte too long. No redirection is followed. Raises `KeysAway`."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    host = parts.hostname or ""
    try:
        with _connected(host, parts.port, is_tls=is_tls) as connection:
            return http_get(connection, parts.netloc, parts.path or "/", seconds=TIMEOUT, most=MAX_ANSWER + 1)
    except (OSError, UnicodeError) as error:  # a name that is too long for IDNA is the latter
        reason = error.strerror if isinstance(error, OSError) else None
        raise KeysAway(f"it does not answer ({reason or type(error).__name__})") from None
    except (ValueError, http.client.HTTPException):
        raise KeysAway("what answers is no HTTP") from None


def _connected(host: str, port: int | None, *, is_tls: bool) -> socket.socket:
    """Raises `OSError`."""
    plain = socket.create_connection((host, port or (443 if is_tls else 80)), timeout=TIMEOUT)
    if not is_tls:
        return plain
    with plain:  # which the other one takes over, unless the handshake fails
        # The time-out is that of the whole handshake (Python documentation, "ssl", `SSLSocket.do_handshake`).
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
