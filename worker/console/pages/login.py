"""Login with the token, and logout."""

from http.cookies import SimpleCookie
from math import ceil
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from worker.console.audit import REFUSED
from worker.console.console import Console
from worker.console.identity.people import NAME_RULE, NOBODY, name_of
from worker.console.request import Problem, Visit, is_from_here, read_body, read_form, see_other, session_of
from worker.console.sessions import LIFETIME

MAX_FORM = 4096  # bytes
MAX_FIELDS = 10

REFUSAL = (
    "That is not the token, or its link has been used: the console prints a new link then. Or it is CONSOLE_TOKEN."
)
NOT_OF_THE_FILE = "That is not a token of the file CONSOLE_TOKENS_FILE."


async def show(request: Request) -> Response:
    """Ask for a name, and for the token unless the link has brought it. Who is logged in goes on."""
    console: Console = request.app.state.console
    if session_of(request):
        return see_other("/")
    return console.page("login.html", token=request.query_params.get("token", ""), who="", problem="")


async def enter(request: Request) -> Response:
    """Check both. That a page of somebody else's sends this form does no harm: it does not know the token."""
    console: Console = request.app.state.console
    address = request.client.host if request.client else ""
    wait = console.refusals.wait(address)
    if wait:
        raise Problem(f"Too many logins were refused: try again in {ceil(wait)} s.", 429)
    if not is_from_here(request.headers):
        _refuse(console, address)
        raise Problem("This form was not sent by this page: try again here.", 403)
    form = read_form(await read_body(request, MAX_FORM), MAX_FIELDS)
    token, who = (form.get(name, [""])[0].strip() for name in ("token", "who"))
    name = name_of(who) if console.sessions.asks_name else ""
    problem = f"Give {NAME_RULE}, for the audit log." if name is None else ""
    session = None if name is None else await run_in_threadpool(console.sessions.open, token, name)
    if session is None:
        _refuse(console, address)
        text = problem or (REFUSAL if console.sessions.asks_name else NOT_OF_THE_FILE)
        return console.page("login.html", status=403, token=token if problem else "", who=who, problem=text)
    console.audit.record(session.who, "login")
    answer = see_other("/")
    # The origin is the browser's own word for how it has reached us, whatever is in between.
    secure = request.headers.get("origin", "").startswith("https://")
    answer.headers["Set-Cookie"] = _cookie(console.cookie, session.id, int(LIFETIME), secure=secure)
    return answer


def _refuse(console: Console, address: str) -> None:
    console.refusals.add(address)
    console.audit.record(NOBODY, "login", outcome=REFUSED)


def leave(visit: Visit) -> Response:
    """Log out."""
    visit.audit("logout")
    visit.console.sessions.close(visit.session)
    answer = see_other("/login")
    answer.headers["Set-Cookie"] = _cookie(visit.console.cookie, "", 0)
    return answer


def hide(visit: Visit) -> Response:
    """Mask again what was revealed."""
    visit.session.hide()
    return see_other("/")


def _cookie(name: str, value: str, seconds: int, *, secure: bool = False) -> str:
    cookie: SimpleCookie = SimpleCookie({name: value})
    attributes: dict[str, Any] = {"path": "/", "httponly": True, "samesite": "Strict", "max-age": seconds}
    attributes["secure"] = secure
    cookie[name].update(attributes)
    return cookie[name].OutputString()
