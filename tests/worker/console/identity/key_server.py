"""A server of public keys, and the tokens that its keys sign."""

import base64
import hmac
import json
import time
from hashlib import sha256
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.http_server import HttpServer

ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/ops/0123456789abcdef"
KEY_ID = "12345678-1234-1234-1234-123456789012"
AUDIENCE = "signup-sync-console"

BALANCER_KEY = ec.generate_private_key(ec.SECP256R1())
ISSUER_KEY = rsa.generate_private_key(65537, 2048)
CLAIMS = {"sub": "0b0e9a4c", "email": "grace@example.com", "email_verified": "true"}


class KeyServer(HttpServer):
    """Answers GET with what is in `answers`, by path; all else with 404. `asked` are the paths, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, bytes] = {}
        self.asked: list[str] = []

    def answer(self, path: str) -> tuple[int, bytes]:
        """What is in `answers` by now."""
        self.asked.append(path)
        body = self.answers.get(path)
        return 404 if body is None else 200, body or b""

    def serve_balancer(self, key_id: str = KEY_ID, pem: bytes = b"") -> None:
        """As AWS does for each key of a load balancer."""
        self.answers[f"/{key_id}"] = pem or public_pem(BALANCER_KEY)

    def serve_issuer(self, *keys: dict[str, Any], **configuration: object) -> None:
        """As an OpenID Connect issuer, whose URL is the server's."""
        given = {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **configuration}
        self.answers["/.well-known/openid-configuration"] = json.dumps(given).encode()
        self.answers["/keys"] = json.dumps({"keys": list(keys) or [jwk(ISSUER_KEY)]}).encode()


def public_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(key: rsa.RSAPrivateKey, key_id: str = "first", **members: object) -> dict[str, Any]:
    """The public half, as an entry of a key set."""
    return {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": key_id, "use": "sig", **members}


def balancer_token(
    key: ec.EllipticCurvePrivateKey = BALANCER_KEY, claims: dict[str, Any] | None = None, **head: object
) -> str:
    """As a load balancer makes them, with the padding of base64; `head` is what is otherwise in its head."""
    given = {"alg": "ES256", "kid": KEY_ID, "signer": ARN, "iss": "https://idp.example", "exp": time.time() + 120}
    signed = f"{_padded({**given, **head})}.{_padded(CLAIMS if claims is None else claims)}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
    return f"{signed}.{base64.urlsafe_b64encode(r.to_bytes(32) + s.to_bytes(32)).decode()}"


def id_token(issuer: str, key: rsa.RSAPrivateKey = ISSUER_KEY, key_id: str = "first", **claims: object) -> str:
    """As an issuer makes them; `claims` are what is otherwise in it, without those that are None."""
    now = int(time.time())
    given = {**CLAIMS, "iss": issuer, "aud": AUDIENCE, "iat": now, "exp": now + 300, **claims}
    kept = {name: value for name, value in given.items() if value is not None}
    return jwt.encode(kept, key, "RS256", headers={"kid": key_id})


def forged(algorithm: str, claims: dict[str, Any], secret: bytes, **head: object) -> str:
    """A token with a signature of no key pair: none, or HMAC with the public key as the secret (RFC 8725, 2.1)."""
    signed = f"{_bare({'alg': algorithm, **head})}.{_bare(claims)}"
    made = hmac.digest(secret, signed.encode(), sha256) if algorithm == "HS256" else b""
    return f"{signed}.{base64.urlsafe_b64encode(made).decode().rstrip('=')}"


def _padded(members: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).decode()


def _bare(members: dict[str, Any]) -> str:
    return _padded(members).rstrip("=")
