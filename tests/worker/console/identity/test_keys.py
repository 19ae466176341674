"""Where keys come from may be slow, endless or somebody else, and whoever asks may name any number of keys."""

import asyncio
import socket
import ssl
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.listener import Listener
from tests.worker.console.identity.key_server import BALANCER_KEY, ISSUER_KEY, KEY_ID, KeyServer, jwk, public_pem
from worker.console.identity.keys import (
    AGAIN_AFTER,
    FRESH_FOR,
    MAX_FETCHES,
    MAX_KEYS,
    UNKNOWN_FOR,
    AlbKeys,
    IssuerKeys,
    Keys,
    KeysAway,
    is_secure,
)

OTHER_ID = KEY_ID.replace("1", "2")


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with KeyServer() as running:
        yield running


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def find(keys: Keys, *key_ids: str, fetch: bool = True) -> list[bool]:
    """Whether each is found, one after the other in one event loop."""

    async def look() -> list[bool]:
        return [await keys.find(key_id, fetch=fetch) is not None for key_id in key_ids]

    return asyncio.run(look())


@contextmanager
def answering(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that handles its connections like that."""
    listener = Listener(handle)
    listener.up()
    try:
        yield f"http://127.0.0.1:{listener.port}"
    finally:
        listener.down()


def test_a_key_is_fetched_once(server: KeyServer) -> None:
    server.serve_balancer()
    keys = AlbKeys(server.url)

    assert find(keys, *[KEY_ID] * 5) == [True] * 5
    assert server.asked == [f"/{KEY_ID}"]


def test_many_who_want_the_same_key_fetch_it_once(server: KeyServer) -> None:
    server.serve_balancer()
    keys = AlbKeys(server.url)

    async def look() -> None:
        await asyncio.gather(*(keys.find(KEY_ID, fetch=True) for _ in range(50)))

    asyncio.run(look())
    assert server.asked == [f"/{KEY_ID}"]


def test_a_key_that_is_not_there_is_not_asked_for_again(server: KeyServer) -> None:
    assert find(AlbKeys(server.url), *[OTHER_ID] * 5) == [False] * 5
    assert server.asked == [f"/{OTHER_ID}"]


def test_no_more_is_asked_than_there_is_room_for_and_what_is_known_stays_known(server: KeyServer) -> None:
    server.serve_balancer()
    keys = AlbKeys(server.url)
    find(keys, KEY_ID)

    find(keys, *(str(uuid.uuid4()) for _ in range(MAX_FETCHES - 1)))
    with pytest.raises(KeysAway, match="too many unknown keys"):
        find(keys, str(uuid.uuid4()))

    assert len(server.asked) == MAX_FETCHES
    assert find(keys, KEY_ID) == [True]


def test_an_id_that_was_unknown_and_places_that_were_taken_are_forgotten(server: KeyServer) -> None:
    clock = Clock()
    keys = AlbKeys(server.url, clock)
    find(keys, KEY_ID, *(str(uuid.uuid4()) for _ in range(MAX_FETCHES - 1)))
    server.serve_balancer()

    clock.time += UNKNOWN_FOR - 1
    assert find(keys, KEY_ID, str(uuid.uuid4())) == [False, False]
    clock.time += 1
    assert find(keys, KEY_ID) == [True]


def test_for_who_has_been_refused_nothing_is_asked(server: KeyServer) -> None:
    server.serve_balancer()

    assert find(AlbKeys(server.url), KEY_ID, fetch=False) == [False]
    assert server.asked == []


@pytest.mark.parametrize(
    "key_id",
    [
        "",
        "x",
        f"../{KEY_ID}",
        f"{KEY_ID}/..",
        f"{KEY_ID}\n",
        f"{KEY_ID} HTTP/1.1\r\nHost: x",
        KEY_ID.upper() + "A",
        "%2e",
    ],
)
def test_what_is_no_id_of_a_key_is_a_part_of_no_address(server: KeyServer, key_id: str) -> None:
    assert find(AlbKeys(server.url), key_id) == [False]
    assert server.asked == []


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"junk",
        public_pem(ISSUER_KEY),
        public_pem(ec.generate_private_key(ec.SECP384R1())),
        b"x" * 300_000,
    ],
    ids=["empty", "junk", "rsa", "p384", "long"],
)
def test_what_is_no_key_for_es256_is_none(server: KeyServer, pem: bytes) -> None:
    server.answers[f"/{KEY_ID}"] = pem

    with pytest.raises(KeysAway):
        find(AlbKeys(server.url), KEY_ID)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n" + b"x" * 1_000_000,
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
    ids=["endless", "elsewhere", "failed", "a length that is none", "no HTTP", "nothing"],
)
def test_a_server_that_answers_anything_gives_no_key(answer: bytes) -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    with answering(handle) as url, pytest.raises(KeysAway):
        find(AlbKeys(url), KEY_ID)


def test_a_certificate_that_nobody_vouches_for_gives_no_key(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))

    def handle(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + public_pem(BALANCER_KEY))
        except OSError:
            return  # it is hung up on

    with answering(handle) as url, pytest.raises(KeysAway, match="it does not answer"):
        find(AlbKeys(url.replace("http://127.0.0.1", "https://localhost")), KEY_ID)


def self_signed(directory: Path) -> Path:
    """A file with a key and a certificate of localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = builder.add_extension(names, critical=False).sign(key, SHA256())
    file = directory / "server.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    return file


def test_an_issuer_is_asked_again_for_a_key_that_is_unknown_but_not_each_time(server: KeyServer) -> None:
    server.serve_issuer()
    keys = IssuerKeys(server.url)

    assert find(keys, "first", "x", "first", *map(str, range(50))) == [True, False, True] + [False] * 50
    assert len(server.asked) == 2


def test_a_key_that_an_issuer_withdraws_ends_with_the_next_look(server: KeyServer) -> None:
    clock = Clock()
    server.serve_issuer()
    keys = IssuerKeys(server.url, clock)
    assert find(keys, "first") == [True]

    server.serve_issuer(jwk(ISSUER_KEY, "second"))
    assert find(keys, "first") == [True]
    clock.time += FRESH_FOR + 1
    assert find(keys, "first", "second") == [False, True]


def test_while_an_issuer_is_away_its_keys_hold_and_it_is_asked_now_and_then(server: KeyServer) -> None:
    clock = Clock()
    server.serve_issuer()
    keys = IssuerKeys(server.url, clock)
    find(keys, "first")
    server.answers.clear()
    server.asked.clear()

    clock.time += FRESH_FOR + 1
    assert find(keys, *["first"] * 5) == [True] * 5
    clock.time += AGAIN_AFTER
    assert find(keys, *["first"] * 5) == [True] * 5

    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("members", "is_usable"),
    [
        ({}, True),
        ({"alg": "RS256"}, True),
        ({"alg": "RS512"}, False),
        ({"use": "enc"}, False),
        ({"kid": 7}, False),
        ({"kty": "oct", "k": "eA"}, False),
        ({"n": "AQAB"}, False),
        ({"n": None}, False),
        ({"e": {}}, False),
        ({"n": "!"}, False),
    ],
)
def test_of_the_keys_of_an_issuer_those_for_rs256_are_taken(
    server: KeyServer, members: dict[str, object], is_usable: bool
) -> None:
    server.serve_issuer(jwk(ISSUER_KEY, "other"), {**jwk(ISSUER_KEY), **members})

    assert find(IssuerKeys(server.url), "other", "first") == [True, is_usable]


def test_a_key_of_an_issuer_that_could_be_broken_is_none(server: KeyServer) -> None:
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 (that is the point)
    server.serve_issuer(jwk(ISSUER_KEY, "other"), jwk(weak, "first"))

    assert find(IssuerKeys(server.url), "first") == [False]


def test_of_keys_without_end_the_first_are_taken(server: KeyServer) -> None:
    server.serve_issuer(*({**jwk(ISSUER_KEY), "kid": str(number)} for number in range(MAX_KEYS + 1)))

    assert find(IssuerKeys(server.url), "0", str(MAX_KEYS)) == [True, False]


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/keys", b"[" * 100_000),
        ("/keys", b"{}"),
        ("/keys", b'{"keys": [1, {}, null]}'),
        ("/.well-known/openid-configuration", b"[]"),
        ("/.well-known/openid-configuration", b'{"issuer": "http://127.0.0.1"}'),
    ],
)
def test_an_issuer_that_answers_anything_has_no_keys(server: KeyServer, path: str, answer: bytes) -> None:
    server.serve_issuer()
    server.answers[path] = answer

    with pytest.raises(KeysAway):
        find(IssuerKeys(server.url), "first")


def test_the_keys_of_an_issuer_are_not_sought_where_nobody_can_be_sure_of_them(server: KeyServer) -> None:
    for url in ("http://keys.example/", "file:///etc/passwd", 7):
        server.serve_issuer(jwks_uri=url)
        with pytest.raises(KeysAway):
            find(IssuerKeys(server.url), "first")


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://idp.example", True),
        ("https://idp.example:8443/realms/ops/", True),
        ("http://127.0.0.1:5556/dex", True),
        ("http://localhost", True),
        ("http://idp.example", False),
        ("http://localhost.evil.example", False),
        ("https://user@idp.example", False),
        ("https://idp.example?x", False),
        ("https://idp.example#x", False),
        ("https://idp.example/a b", False),
        ("https://idp.example/\r\nHost: x", False),
        ("https://idp.example:0", False),
        ("https://idp.example:x", False),
        ("https://[::1", False),
        ("https://", False),
        ("file:///x", False),
    ],
)
def test_an_issuer_is_asked_by_https_or_on_this_machine(url: str, secure: bool) -> None:
    assert is_secure(url) == secure
