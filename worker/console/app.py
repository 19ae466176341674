"""Application: the console's addresses, and what is answered when something fails."""

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from worker.console.console import Console
from worker.console.defect import log_defect
from worker.console.pages import audit_log, editor, feed, group_editor, letters, login, overview, pause, users
from worker.console.request import Headed, Named, Problem, Signed, ask, change, look, session_of

_FOLDER = Path(__file__).parent


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
        Route("/logout", ask(login.leave), methods=["POST"]),
        Route("/hide", ask(login.hide), methods=["POST"]),
        Route("/", look(overview.show)),
        Route("/letters", look(letters.show)),
        Route("/letters/news", look(letters.news)),
        Route("/letters/look", ask(letters.look_again), methods=["POST"]),
        Route("/letters/search", ask(letters.search_all), methods=["POST"]),
        Route("/letters/confirm", change(letters.confirm), methods=["POST"]),
        Route("/letters/act", change(letters.act), methods=["POST"]),
        Route("/letters/set", change(group_editor.show), methods=["POST"]),
        Route("/letters/set/send", change(group_editor.send), methods=["POST"]),
        Route("/letters/copy", ask(letters.copy), methods=["POST"]),
        Route("/letters/{id}", look(letters.show_one)),
        Route("/letters/{id}/reveal", ask(letters.reveal), methods=["POST"]),
        Route("/letters/{id}/edit", look(editor.show)),
        Route("/letters/{id}/open", ask(editor.open_), methods=["POST"]),
        Route("/letters/{id}/check", ask(editor.check), methods=["POST"]),
        Route("/letters/{id}/send", change(editor.send), methods=["POST"]),
        Route("/jobs/{number}", look(letters.show_job)),
        Route("/users", look(users.show)),
        Route("/users", ask(users.look_up), methods=["POST"]),
        Route("/users/reveal", ask(users.reveal), methods=["POST"]),
        Route("/users/enqueue", change(users.enqueue), methods=["POST"]),
        Route("/users/erase", change(users.erase), methods=["POST"]),
        Route("/feed", look(feed.show)),
        Route("/feed/reveal", ask(feed.reveal), methods=["POST"]),
        Route("/pause", change(pause.begin), methods=["POST"]),
        Route("/resume", change(pause.end), methods=["POST"]),
        Route("/audit", look(audit_log.show)),
        Mount("/static", _Files(directory=_FOLDER / "static")),
    ]
    middleware = [Middleware(Headed), Middleware(Named, names=console.hosts)]
    if console.proxy is None:
        routes.insert(0, Route("/login", login.enter, methods=["POST"]))
    else:
        middleware.append(Middleware(Signed, console=console, proxy=console.proxy))
    handlers = {Problem: _problem, HTTPException: _http_problem, Exception: _defect}
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)
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
    log_defect("page_failed", error, path=request.scope["path"])
    return _error_page(request, 500, f"This page has failed ({type(error).__name__}); the console's log says where.")


def _error_page(request: Request, status: int, text: str) -> Response:
    console: Console = request.app.state.console
    return console.page("problem.html", status=status, session=session_of(request), path=request.url.path, text=text)
