"""The console as a process, and an operator who reads its pages over HTTP."""

import http.client
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Self
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.support.sqs import Queues
from tests.support.wait import wait_until
from tests.support.worker_process import LogLine, WorkerProcess, worker_environment

START_TIMEOUT = 30.0  # seconds
TIMEOUT = 30.0  # seconds, of an answer

_link = re.compile(r"the console is at (http://\S+)").search
_csrf = re.compile(r'name="csrf" value="([^"]+)"').search


class ConsoleProcess(WorkerProcess):
    """`signup-sync console`, on a free port. As a context manager it is started, and serves."""

    def __init__(self, database_url: str, queues: Queues, settings: Mapping[str, str]) -> None:
        defaults = {
            "CONSOLE_ADDRESS": "127.0.0.1:0",
            "CONSOLE_REFRESH_SECONDS": "1",
            "WORKER_URLS": "http://127.0.0.1:1",
        }
        environment = worker_environment(database_url, queues, settings={**defaults, **settings})
        super().__init__("console", environment=environment, module="tests.worker.console.signup_sync")

    def wait_for_audit(self, what: str) -> LogLine:
        """Wait until this is in the audit log, which is read a moment after the page; return the newest such line."""
        return wait_until(lambda: self._audited(what), 20, f"no {what} in the audit log")[-1]

    def _audited(self, what: str) -> list[LogLine]:
        return [line for line in self.events("audit") if line["what"] == what]

    def __enter__(self) -> Self:
        super().__enter__()
        wait_until(lambda: _link(self.stderr) or not self.running, START_TIMEOUT, "the console does not serve")
        assert self.running, self
        return self

    @property
    def link(self) -> str:
        """What it has printed at its start."""
        found = _link(self.stderr)
        assert found is not None, self
        return found[1]

    @property
    def address(self) -> str:
        return self.link.partition("/login")[0]

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.link).query)["token"][0]


StartConsole = Callable[..., ConsoleProcess]
"""The fixture `start_console`."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def csrf(self) -> str:
        found = _csrf(self.text)
        assert found is not None, self.text
        return unescape(found[1])

    @property
    def words(self) -> str:
        """The text as somebody reads it: without tags, and white space as one space."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.text)).split())


class Operator:
    """Keeps a cookie, follows no redirect unless told to, and knows the CSRF token of the last page."""

    def __init__(self, address: str) -> None:
        self._host = urlsplit(address).netloc
        self.cookie = ""
        self.csrf = ""

    def get(self, path: str, **headers: str) -> Answer:
        return self._send("GET", path, None, headers)

    def post(
        self, path: str, *, headers: Mapping[str, str] | None = None, follow: bool = True, **fields: str | list[str]
    ) -> Answer:
        """Send a form, with the CSRF token unless another one is given, and see where it leads."""
        form = urlencode({"csrf": self.csrf, **fields}, doseq=True)
        given = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        answer = self._send("POST", path, form, given)
        return self.get(answer.headers["location"]) if follow and answer.status == http.client.SEE_OTHER else answer

    def log_in(self, token: str, who: str = "Grace") -> Self:
        answer = self.post("/login", token=token, who=who, follow=False)
        assert (answer.status, answer.headers["location"]) == (303, "/"), answer
        self.csrf = self.get("/audit").csrf
        return self

    def _send(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection(self._host, timeout=TIMEOUT)
        try:
            cookie = {"Cookie": self.cookie} if self.cookie else {}
            connection.request(method, path, body=body, headers={**cookie, **headers})
            response = connection.getresponse()
            answer = Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read().decode(),
            )
        finally:
            connection.close()
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer
