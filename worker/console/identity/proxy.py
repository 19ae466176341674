"""Proxy: a load balancer or oauth2-proxy before the console, which says of each request whose it is, and signs that.

Who may log in is theirs to say. Here it is checked that they have said it: with their key, for us, and not long ago.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from starlette.datastructures import Headers

from worker.console.identity.keys import AlbKeys, IssuerKeys, Keys
from worker.console.identity.people import Person, Proof

LEEWAY = 30.0  # seconds by which two clocks may differ

_is_arn = re.compile(
    r"arn:aws:elasticloadbalancing:([a-z]{2}(?:-[a-z]+)+-\d):\d{12}:loadbalancer/app/[A-Za-z0-9-]{1,32}/[0-9a-f]{1,32}",
    re.ASCII,
).fullmatch
# An e-mail address, or a `sub`, which is of ASCII (OpenID Connect Core 1.0, 2 "ID Token"). Nothing invisible is in it.
_is_name = re.compile(r"[!-~]{1,255}").fullmatch


class NotProved(Exception):
    """Nobody knows whose request that is. One word says why, and has nothing of what was sent."""


class Expired(NotProved):
    """It was proved, until a while ago."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """What opens the console in its place: no token does.

    `signer` is what the head of a token must name (`signer`), `issuer` and `audience` what its claims must
    (`iss`, `aud`); None is what is not asked for.
    """

    header: str
    proof: Proof
    algorithm: str
    keys: Keys
    signer: str | None = None
    issuer: str | None = None
    audience: str | None = None

    asks_name = False

    def take(self, _: str, __: str) -> Person | None:
        return None

    def admits(self, _: Person) -> bool:
        return True

    async def person(self, headers: Headers, *, fetch: bool = True) -> Person | None:
        """Whose request that is; None if it does not say. Raises `NotProved` and `KeysAway`.

        Without `fetch` no key is fetched for somebody whom nobody knows yet.
        """
        given = headers.getlist(self.header)
        if not given:
            return None
        if len(given) > 1:  # one of them is somebody else's
            raise NotProved("header_sent_twice")
        token = given[0].strip()
        if self.header == "authorization":
            scheme, _, token = token.partition(" ")
            if scheme.lower() != "bearer":
                return None
        head = self._head(token)
        key = await self.keys.find(head["kid"], fetch=fetch)
        if key is None:
            raise NotProved("unknown_key")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[self.algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY,
                options={
                    "require": [] if self.signer else ["exp", "iss", "aud"],
                    "verify_aud": self.audience is not None,
                },
            )
        except jwt.ExpiredSignatureError:
            raise Expired("expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise NotProved(type(error).__name__) from None
        return Person(_name(claims), self.proof)

    def _head(self, token: str) -> Mapping[str, Any]:
        """The head of a token, of which nothing is proved yet but that a key may be looked for. Raises `NotProved`."""
        try:
            head = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError):
            raise NotProved("no_token") from None
        if head.get("alg") != self.algorithm:
            raise NotProved("other_algorithm")
        if not isinstance(head.get("kid"), str):
            raise NotProved("no_key_id")
        if self.signer is not None:
            if head.get("signer") != self.signer:
                raise NotProved("other_signer")
            # A load balancer's is here, and not among the claims.
            expires = head.get("exp")
            if not isinstance(expires, int | float):
                raise NotProved("no_expiration")
            if not time.time() - LEEWAY < expires:
                raise Expired("expired")
        return head


def alb(arn: str) -> Proxy:
    """An Application Load Balancer that authenticates users.

    Elastic Load Balancing, User Guide for Application Load Balancers, "Authenticate users using an Application Load
    Balancer", section "User claims encoding and signature verification". Anybody's load balancer has keys there, so
    that `signer` must be ours. Raises `ValueError` if that is not the ARN of one.
    """
    return Proxy("x-amzn-oidc-data", "alb", "ES256", AlbKeys(alb_keys_url(arn)), signer=arn)


def alb_keys_url(arn: str) -> str:
    """Where the keys of its region are. Raises `ValueError`."""
    found = _is_arn(arn)
    if found is None:
        raise ValueError("should be an Application Load Balancer's ARN, arn:aws:elasticloadbalancing:...")
    return f"https://public-keys.auth.elb.{found[1]}.amazonaws.com"


def oidc(issuer: str, audience: str) -> Proxy:
    """A proxy that passes the issuer's ID token on, such as oauth2-proxy with --pass-authorization-header.

    OpenID Connect Core 1.0, 3.1.3.7 "ID Token Validation"; RS256 is what all issuers have (15.1). `audience` is the
    proxy's client id: the issuer's tokens for other clients are not for us.
    """
    return Proxy("authorization", "oidc", "RS256", IssuerKeys(issuer), issuer=issuer, audience=audience)


def _name(claims: Mapping[str, Any]) -> str:
    """The e-mail address, if the issuer has verified it, else `sub`. Raises `NotProved`.

    An address that is not verified is what somebody has typed; Amazon Cognito says "true" as a text.
    """
    is_verified = claims.get("email_verified") in (True, "true")
    for name in (claims.get("email") if is_verified else None, claims.get("sub")):
        if isinstance(name, str) and _is_name(name):
            return name
    raise NotProved("no_name")
