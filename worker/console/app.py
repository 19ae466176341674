"""The console as a whole: its parts, its addresses, and how a page is made from a template."""

import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from db.pool import Database
from worker import cognito
from worker.cognito import UserPool
from worker.console.actions import Actions
from worker.console.audit import Audit
from worker.console.body_view import visible
from worker.console.jobs import Jobs
from worker.console.pages import audit_log, editor, feed, letters, login, overview, users
from worker.console.people import People
from worker.console.sessions import Session, Sessions
from worker.console.shelf import Shelf
from worker.console.visit import Headed, Problem, ask, change, look
from worker.console.watch import OldestMessage, Watch
from worker.console.words import OUTCOMES, age, duration, moment, number
from worker.dead_letters import plain_name
from worker.publish import Publisher
from worker.settings import ConsoleSettings
from worker.sqs import Queue

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

DATABASE_CONNECTIONS = 4
STATEMENT_TIMEOUT_MS = 3000
LOCK_TIMEOUT_MS = 1000
CALLS_AT_ONCE = 12
COGNITO_ATTEMPTS = 2  # of one call: a page waits for it

_FOLDER = Path(__file__).parent

log = structlog.get_logger()


class Console:
    """What the pages work with. `start` begins to look at the system, when a page asks; `stop` releases everything."""

    def __init__(self, settings: ConsoleSettings, token: str, events: Queue, dead_letters: Queue, client: "SQSClient"):
        self.read_only = settings.console_read_only
        self.pool_id = settings.user_pool_id
        self.version = version("signup-sync")
        # A name of its own: cookies do not know ports, and there may be another console beside this one.
        self.cookie = f"signup_sync_{secrets.token_hex(4)}"
        self.audit = Audit()
        self.sessions = Sessions(token)
        self.jobs = Jobs()
        self.database = Database(
            settings.conninfo,
            max_connections=DATABASE_CONNECTIONS,
            statement_timeout_ms=STATEMENT_TIMEOUT_MS,
            lock_timeout_ms=LOCK_TIMEOUT_MS,
        )
        self.shelf = Shelf(dead_letters, settings.console_refresh_seconds)
        self.actions = Actions(events, self.shelf, self.audit)
        self.publisher = Publisher(events.url, client=client)
        self._executor = ThreadPoolExecutor(CALLS_AT_ONCE, "call")
        self._cognito = cognito.connect(attempts=COGNITO_ATTEMPTS) if settings.user_pool_id else None
        pool = UserPool(settings.user_pool_id, self._cognito) if settings.user_pool_id and self._cognito else None
        self.people = People(self.database, pool, self._executor)
        oldest = OldestMessage(events.url) if settings.console_cloudwatch else None
        self.watch = Watch(events, dead_letters, settings.worker_urls, self.database, self._executor, oldest)
        self._templates = _templates(queue_name=events.url.rpartition("/")[2])

    def start(self) -> None:
        self.database.open()
        self.shelf.start()
        self.watch.start()

    def stop(self) -> None:
        """What is under way ends, and what is held of the queue is released."""
        self.jobs.close()
        self.shelf.stop()
        self.watch.stop()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self.database.close()
        if self._cognito is not None:
            self._cognito.close()

    def page(
        self, template: str, *, status: int = 200, session: Session | None = None, path: str = "", **content: Any
    ) -> Response:
        """An answer made from a template, with what every page needs."""
        common = {"console": self, "session": session, "path": path, "now": time.time()}
        return HTMLResponse(self._templates.get_template(template).render({**common, **content}), status)


class _Files(StaticFiles):
    """Own files; their addresses change with their content."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=86400"
        return response


def application(console: Console) -> Starlette:
    """The ASGI application."""
    routes = [
        Route("/login", login.show, methods=["GET"]),
        Route("/login", login.enter, methods=["POST"]),
        Route("/logout", ask(login.leave), methods=["POST"]),
        Route("/hide", ask(login.hide), methods=["POST"]),
        Route("/", look(overview.show)),
        Route("/letters", look(letters.show)),
        Route("/letters/news", look(letters.news)),
        Route("/letters/look", ask(letters.look_again), methods=["POST"]),
        Route("/letters/confirm", change(letters.confirm), methods=["POST"]),
        Route("/letters/act", change(letters.act), methods=["POST"]),
        Route("/letters/copy", ask(letters.copy), methods=["POST"]),
        Route("/letters/{id}", look(letters.show_one)),
        Route("/letters/{id}/reveal", ask(letters.reveal), methods=["POST"]),
        Route("/letters/{id}/edit", look(editor.show)),
        Route("/letters/{id}/open", ask(editor.open_), methods=["POST"]),
        Route("/letters/{id}/check", ask(editor.check), methods=["POST"]),
        Route("/letters/{id}/send", change(editor.send), methods=["POST"]),
        Route("/jobs/{number:int}", look(letters.show_job)),
        Route("/users", look(users.show)),
        Route("/users", ask(users.look_up), methods=["POST"]),
        Route("/users/reveal", ask(users.reveal), methods=["POST"]),
        Route("/users/enqueue", change(users.enqueue), methods=["POST"]),
        Route("/feed", look(feed.show)),
        Route("/feed/reveal", ask(feed.reveal), methods=["POST"]),
        Route("/audit", look(audit_log.show)),
        Mount("/static", _Files(directory=_FOLDER / "static")),
    ]
    handlers = {Problem: _problem, HTTPException: _http_problem, Exception: _defect}
    app = Starlette(routes=routes, middleware=[Middleware(Headed)], exception_handlers=handlers)
    app.state.console = console
    return app


def _problem(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, Problem) else 500
    return _error_page(request, status, str(error))


def _http_problem(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = {404: "There is no such page.", 405: "This page is reached by a form."}.get(status, "That did not work.")
    return _error_page(request, status, text)


def _defect(request: Request, error: Exception) -> Response:
    # Its text may quote what people wrote.
    log.error("page_failed", path=request.scope["path"], error=type(error).__name__, where=_where(error))
    return _error_page(request, 500, f"This page has failed ({type(error).__name__}); the console's log says where.")


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


def _error_page(request: Request, status: int, text: str) -> Response:
    console: Console = request.app.state.console
    session = console.sessions.find(request.cookies.get(console.cookie, ""))
    return console.page("problem.html", status=status, session=session, path=request.url.path, text=text)


def _templates(*, queue_name: str) -> Environment:
    templates = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Whatever a template writes, and wherever it came from: first made visible, then escaped.
        finalize=lambda value: value if isinstance(value, Markup) or not isinstance(value, str) else visible(value),
    )
    templates.filters.update(
        {"duration": duration, "moment": moment, "age": age, "number": number, "plain": plain_name}
    )
    templates.globals.update({"static": _static_addresses(), "queue_name": queue_name, "outcomes": OUTCOMES})
    return templates


def _static_addresses() -> Mapping[str, str]:
    """The address of each own file, which changes with its content."""
    files = sorted((_FOLDER / "static").iterdir())
    return {file.name: f"/static/{file.name}?{sha256(file.read_bytes()).hexdigest()[:12]}" for file in files}
