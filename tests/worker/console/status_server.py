"""An admin server that says what it is told to: a worker of which a test decides how it is."""

import json
from typing import Any

from tests.support.http_server import HttpServer


class StatusServer(HttpServer):
    """Answers GET /status with `status`; with None, with the status code `error`."""

    def __init__(self, status: dict[str, Any] | None, error: int = 503) -> None:
        super().__init__()
        self.status = status
        self._error = error

    def answer(self, path: str) -> tuple[int, bytes]:
        """What `status` is by now."""
        is_there = self.status is not None and path == "/status"
        return 200 if is_there else self._error, json.dumps(self.status).encode()
