"""The part of the Lambda service that Cognito uses, with our real handler behind it.

    QUEUE_URL=... python -m tests.e2e.lambda_server

A process of its own, because the handler is configured by its environment, as it is in AWS. It prints the address it
listens on, and then `invoked TRIGGER_SOURCE` for each event that it hands to the handler.
"""

import json
import re
import traceback
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer

from trigger_lambda.handler import handler

FUNCTION_NAME = "post-confirmation"

INVOCATIONS = re.compile(r"/2015-03-31/functions/(?P<name>[^/]+)/invocations")
INVOKED = "invoked "


class Context:
    """What a handler may ask of Lambda about its invocation."""

    function_name = FUNCTION_NAME

    def __init__(self) -> None:
        self.aws_request_id = str(uuid.uuid4())

    def get_remaining_time_in_millis(self) -> int:
        """The 5 seconds that Cognito waits for a trigger."""
        return 5_000


class Invocation(BaseHTTPRequestHandler):
    """One request to the Invoke API. Only synchronous invocations exist: Cognito knows no others."""

    def do_POST(self) -> None:
        """Answer with what the handler returned, or with its exception, as Lambda would."""
        payload = self.rfile.read(int(self.headers["Content-Length"]))
        route = INVOCATIONS.fullmatch(self.path)
        if route is None or route["name"] != FUNCTION_NAME:
            self._answer(HTTPStatus.NOT_FOUND, {"Message": "no such function"}, error_type="ResourceNotFoundException")
            return
        event = json.loads(payload)
        print(f"{INVOKED}{event.get('triggerSource')}", flush=True)  # noqa: T201
        try:
            result = handler(event, Context())
        except Exception as error:  # noqa: BLE001, whatever the handler raises is its answer
            self._answer(HTTPStatus.OK, described(error), function_error="Unhandled")
        else:
            self._answer(HTTPStatus.OK, result)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, the name that is overridden
        """Say nothing: `invoked` lines say more than an access log."""

    def _answer(
        self, status: HTTPStatus, body: object, *, error_type: str | None = None, function_error: str | None = None
    ) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if error_type is not None:
            self.send_header("X-Amzn-ErrorType", error_type)
        if function_error is not None:
            self.send_header("X-Amz-Function-Error", function_error)
        self.end_headers()
        self.wfile.write(content)


def described(error: Exception) -> dict[str, object]:
    """An exception as Lambda's Python runtime reports it."""
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


def main() -> None:
    """Serve one invocation at a time, as one execution environment of Lambda does."""
    with HTTPServer(("127.0.0.1", 0), Invocation) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
        server.serve_forever()


if __name__ == "__main__":
    main()
