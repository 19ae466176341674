"""Request, after it has passed the door: who is asking, what they sent, and how they are answered.

Every page but the login needs a session, or the signature of a proxy that says whose the request is. Every form needs
the session's CSRF token, and comes from our own origin. Of a form nothing is read before session, origin and length are
known to be right, and nothing parsed before it is all there.
"""

import asyncio
import hmac
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import product
from string import hexdigits
from typing import Any

import psycopg
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signup_sync.postgres.errors import describe
from signup_sync.sqs import SqsError
from worker.console.audit import REFUSED
from worker.console.console import Console
from worker.console.formats import addressable
from worker.console.identity.keys import KeysAway
from worker.console.identity.people import NOBODY, Person
from worker.console.identity.proxy import Expired, NotProved, Proxy
from worker.console.sessions import Session
from worker.telemetry.admin_hosts import is_allowed

MAX_FORM = 8_388_608  # bytes: an event of 1 MiB, with every character written as %XX, and what is around it
MAX_FIELDS = 12_000  # of a form
FORM_TIMEOUT = 20.0  # seconds in which a form has to come

NOT_BY_THIS_NAME = "not by this name: ask by an IP address, or add the name to CONSOLE_HOSTS\n"
NOT_PROVED = "nobody knows who you are: come by the proxy that signs it (CONSOLE_ALB_ARN or CONSOLE_OIDC_ISSUER)\n"
EXPIRED = "the proxy's signature has expired: reload the page\n"
KEYS_AWAY = "the proxy's signature cannot be checked now"
OF_ANOTHER_SITE = "not for a page of another site\n"
NOT_OURS = "This form is out of date, and nothing was done: go back, reload the page, and try again."
TOO_LARGE = "The form is too large."
UNREADABLE = "The form cannot be read."

# URL Standard, 5.1 "application/x-www-form-urlencoded parsing".
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_BYTES = {digits.encode(): bytes.fromhex(digits) for digits in map("".join, product(hexdigits, repeat=2))}

PERSON = "person"  # in the state of a request: whose it is, where a proxy says so

_HEADERS = {
    # Nothing but our own files, and nothing inline (Content Security Policy Level 3).
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # With "no-referrer" a browser would not say either where our own forms come from (Fetch Standard, "Origin header").
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Problem(Exception):
    """Shown as a page: one line that says what is wrong and what to do."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class Visit:
    """What a page is made for."""

    console: Console
    request: Request
    session: Session
    form: dict[str, list[str]] = field(default_factory=dict)

    def given(self, name: str) -> str:
        """A field of the form; empty if it is not there."""
        return self.form.get(name, [""])[0]

    def asked(self, name: str) -> str:
        """A field of the address; empty if it is not there."""
        return self.request.query_params.get(name, "")

    def page(self, template: str, *, status: int = 200, **content: Any) -> Response:
        return self.console.page(template, status=status, session=self.session, path=self.request.url.path, **content)

    def audit(self, what: str, subject: str = "", outcome: str = "done") -> None:
        self.console.audit.record(self.session.who, what, subject, outcome)


Page = Callable[[Visit], Response]
Endpoint = Callable[[Request], Any]


def look(page: Page) -> Endpoint:
    """A page to read."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(_answer, page, request, b"", form=False)

    return endpoint


def ask(page: Page) -> Endpoint:
    """What is sent by a form and changes nothing outside of the console."""

    async def endpoint(request: Request) -> Response:
        if session_of(request) is None:
            return see_other("/login")
        if not is_from_here(request.headers):
            raise Problem(NOT_OURS, 403)
        body = await read_body(request, MAX_FORM)
        return await run_in_threadpool(_answer, page, request, body, form=True)

    return endpoint


def change(page: Page) -> Endpoint:
    """What is sent by a form and changes something; not in read-only mode."""

    def writable(visit: Visit) -> Response:
        if visit.console.read_only:
            raise Problem("This console is read-only (CONSOLE_READ_ONLY): nothing was changed.", 403)
        return page(visit)

    return ask(writable)


def see_other(path: str) -> Response:
    """Go on with a page to read, so that to reload it sends nothing again."""
    return RedirectResponse(addressable(path), status_code=303)


async def read_body(request: Request, most: int) -> bytes:
    """The form; raises `Problem` if it is longer than so many bytes, or does not come in time."""
    if int(request.headers.get("content-length", "0")) > most:  # h11 has seen to it that it is a number
        raise Problem(TOO_LARGE, 413)
    body = bytearray()
    try:
        async with asyncio.timeout(FORM_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise Problem(TOO_LARGE, 413)
    except TimeoutError:
        raise Problem(f"The form did not come within {FORM_TIMEOUT:g} seconds: try again.", 408) from None
    except ClientDisconnect:
        raise Problem("The form was cut off.") from None
    return bytes(body)


def read_form(body: bytes, most: int) -> dict[str, list[str]]:
    """Of that many fields at most; raises `Problem` if it is none.

    As `urllib.parse.parse_qsl`, which takes a hundred bytes for each that is written as %XX.
    """
    if body.count(b"&") >= most:
        raise Problem(UNREADABLE)
    form: dict[str, list[str]] = {}
    try:
        for field_ in body.split(b"&"):
            name, _, value = field_.partition(b"=")
            if field_:
                form.setdefault(_decoded(name), []).append(_decoded(value))
    except ValueError:
        raise Problem(UNREADABLE) from None
    return form


def is_from_here(headers: Headers) -> bool:
    """Whether a form was sent by a page of ours, as far as the browser tells (Fetch Standard, "Origin header")."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        return False
    return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def session_of(request: Request) -> Session | None:
    """That of the cookie; where a proxy says whose the request is, that person's, and always one."""
    console: Console = request.app.state.console
    person: Person | None = getattr(request.state, PERSON, None)
    if person is None:
        return console.sessions.find(request.cookies.get(console.cookie, ""))
    session, is_new = console.sessions.of(person)
    if is_new:
        console.audit.record(person, "login")
    return session


def _decoded(text: bytes) -> str:
    """Raises `UnicodeDecodeError`."""
    return _ESCAPED.sub(lambda found: _BYTES[found[1]], text.replace(b"+", b" ")).decode()


def _answer(page: Page, request: Request, body: bytes, *, form: bool) -> Response:
    console: Console = request.app.state.console
    session = session_of(request)
    if session is None:
        return see_other("/login")
    visit = Visit(console, request, session)
    if form:
        visit.form = read_form(body, MAX_FIELDS)
        if not hmac.compare_digest(visit.given("csrf").encode(), session.csrf.encode()):
            raise Problem(NOT_OURS, 403)
    try:
        return page(visit)
    except psycopg.Error as error:
        raise Problem(f"The database does not answer: {describe(error)}", 503) from error
    except SqsError as error:
        raise Problem(f"SQS does not answer: {error}", 503) from error


class Named:
    """Answers nobody who asks under a name that is not ours: see `worker.telemetry.admin_hosts`."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and not is_allowed(Headers(scope=scope).get("host"), self._names):
            app = PlainTextResponse(NOT_BY_THIS_NAME, HTTPStatus.MISDIRECTED_REQUEST)
        await app(scope, receive, send)


class Signed:
    """Answers nobody whom the proxy does not name in a way that is proved: see `worker.console.identity.proxy`."""

    def __init__(self, app: ASGIApp, console: Console, proxy: Proxy) -> None:
        self._app = app
        self._console = console
        self._proxy = proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            app = await self._identified(scope) or app
        await app(scope, receive, send)

    async def _identified(self, scope: Scope) -> ASGIApp | None:
        """What is answered instead of a page, if anything."""
        request = Request(scope)
        if _is_of_another_site(request):
            return PlainTextResponse(OF_ANOTHER_SITE, HTTPStatus.FORBIDDEN)
        address = request.client.host if request.client else ""
        waits = self._console.refusals.wait(address) > 0
        try:
            person = await self._proxy.person(request.headers, fetch=not waits)
        except Expired:
            return _unproved(EXPIRED)
        except NotProved as error:
            if not waits:
                self._console.refusals.add(address)
                self._console.audit.record(NOBODY, "login", str(error), REFUSED)
            return _unproved(NOT_PROVED)
        except KeysAway as error:
            return PlainTextResponse(f"{KEYS_AWAY}: {error}\n", HTTPStatus.SERVICE_UNAVAILABLE)
        if person is None:
            return _unproved(NOT_PROVED)
        scope.setdefault("state", {})[PERSON] = person
        return None


def _is_of_another_site(request: Request) -> bool:
    """Whether a page of somebody else's asks for more than to be left for ours (Fetch Metadata, 2.1 to 2.4).

    There is no cookie here that stays away from what other sites ask for.
    """
    headers = request.headers
    if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return False
    is_visit = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    return not (is_visit and request.method == "GET")


def _unproved(text: str) -> Response:
    # An answer with this status has this header (RFC 9110, 15.5.2).
    return PlainTextResponse(text, HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})


class Headed:
    """Puts the security headers on every answer, and says how long the server has taken for it (Server-Timing)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def send_headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
                headers["Server-Timing"] = f"page;dur={(time.perf_counter() - started) * 1000:.1f}"
            await send(message)

        await self._app(scope, receive, send_headed)
