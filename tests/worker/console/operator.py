"""An operator, who reads the console's pages over HTTP."""

import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from typing import Self
from urllib.parse import urlencode, urlsplit

TIMEOUT = 30.0  # seconds, of an answer

_csrf = re.compile(r'name="csrf" value="([^"]+)"').search


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
