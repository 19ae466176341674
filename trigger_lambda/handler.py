"""Cognito's PostConfirmation trigger: pushes who has signed up to the events queue, and lets them in whatever happens.

Settings, from the environment:

- `QUEUE_URL`: the events queue.
- `ON_ENQUEUE_FAILURE`: `return` (the default) gives the event back to Cognito all the same, since the user is confirmed
  already and could not repair the error they would be shown; reconciliation finds them later. `raise` shows it to them.
- `USER_ATTRIBUTES`: names of Cognito attributes that go along, with commas in between, such as
  `locale,custom:tenant_id`; none by default, and 50 at most: further ones stay behind.

Cognito waits 5 seconds for the answer (Amazon Cognito Developer Guide, "Customizing user pool workflows with Lambda
triggers", "Important considerations"); this takes 4 at most.
"""

import hashlib
import json
import os
import re
import time
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

CONNECT_TIMEOUT = 1.0  # seconds
READ_TIMEOUT = 1.0  # seconds
MAX_ATTEMPTS = 3
MAX_TOTAL = 4.0  # seconds
PAUSE = 0.1  # seconds between two attempts

HANDLE_MAX_LENGTH = 64  # characters
DISPLAY_NAME_MAX_LENGTH = 200  # characters
MAX_ATTRIBUTES = 50
ATTRIBUTE_MAX_LENGTH = 2048  # characters

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_EMAIL = re.compile(r"[^\s@]\s*@\s*[^\s@]")
# Of X-Ray's header; neither id may be all zeros in W3C's.
_ROOT = re.compile(r"1-(?!0{8}-0{24})([0-9a-f]{8})-([0-9a-f]{24})")
_PARENT = re.compile(r"(?!0{16})[0-9a-f]{16}")
# What the contract refuses (`signup_sync.characters` says which characters these are, and why), and surrogates, which
# UTF-8 cannot hold.
_UNWANTED = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ud800-\udfff\ufeff\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
_LINE_ENDS = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]+")
_VISIBLE = re.compile(
    "[^\\s\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u200c\u200d\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)


class QueueUrlNotSet(Exception):
    """The function was deployed without its setting `QUEUE_URL`."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 (Lambda passes both)
    """Enqueue `user.signed_up.v1` for a confirmed sign-up; return the event as it came, for every source."""
    enqueue(event)
    return event


def enqueue(event: dict[str, Any]) -> None:
    """What `handler` does, to be called from the function that a pool has already (docs/existing-pool.md).

    `event` is Cognito's own; of any source but a confirmed sign-up nothing is enqueued. It takes 4 seconds at most.
    Raises nothing unless ON_ENQUEUE_FAILURE is `raise`.
    """
    if event.get("triggerSource") == "PostConfirmation_ConfirmSignUp":
        try:
            _send(json.dumps(_message(event)))
        except Exception as error:  # whatever it is, the user is confirmed and must not be shown it
            _log_failure(event, error)
            if os.environ.get("ON_ENQUEUE_FAILURE") == "raise":
                raise


def _message(event: dict[str, Any]) -> dict[str, Any]:
    attributes = event["request"]["userAttributes"]
    sub = attributes["sub"]
    handle = _handle(event, attributes, sub)
    return {
        **_trace_context(),
        "specversion": "1.0",
        "id": sub,
        "source": f"/cognito/{event['userPoolId']}",
        "type": "user.signed_up.v1",
        "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "data": {
            "cognito_user_id": sub,
            "email": _clean(attributes.get("email")) or None,
            "display_name": _display_name(attributes) or handle,
            "handle": handle,
            **_carried_along(attributes),
        },
    }


def _carried_along(attributes: dict[str, Any]) -> dict[str, dict[str, str]]:
    """`attributes` with those that `USER_ATTRIBUTES` names and of which something can be seen, if there are any."""
    names = [name.strip() for name in os.environ.get("USER_ATTRIBUTES", "").split(",")]
    values = {name: _clean_name(attributes.get(name)) for name in names}
    given = {name: value[:ATTRIBUTE_MAX_LENGTH] for name, value in values.items() if value}
    return {"attributes": dict(list(given.items())[:MAX_ATTRIBUTES])} if given else {}


def _trace_context() -> dict[str, str]:
    """`traceparent`, if Lambda has told us of a trace in X-Ray's form.

    AWS Lambda Developer Guide, "Defined runtime environment variables", `_X_AMZN_TRACE_ID`; AWS X-Ray Developer Guide,
    "Tracing header"; W3C Trace Context, "traceparent Header Field Values".
    """
    header = os.environ.get("_X_AMZN_TRACE_ID", "")
    parts = dict(part.partition("=")[::2] for part in header.split(";"))
    root, parent = _ROOT.fullmatch(parts.get("Root", "")), _PARENT.fullmatch(parts.get("Parent", ""))
    if root is None or parent is None:
        return {}
    sampled = "01" if parts.get("Sampled") == "1" else "00"
    return {"traceparent": f"00-{root[1]}{root[2]}-{parent[0]}-{sampled}"}


def _handle(event: dict[str, Any], attributes: dict[str, Any], sub: str) -> str:
    user_name = _clean_name(event.get("userName"))
    candidates = [attributes.get("preferred_username"), "" if _UUID.fullmatch(user_name) else user_name]
    handle = _first_public("-".join(_clean_name(text).split()) for text in candidates)
    return _clean_name(handle[:HANDLE_MAX_LENGTH]) or f"user-{sub[:8]}"


def _display_name(attributes: dict[str, Any]) -> str:
    given_and_family = f"{_clean_name(attributes.get('given_name'))} {_clean_name(attributes.get('family_name'))}"
    candidates = [attributes.get("name"), given_and_family]
    return _clean_name(_first_public(map(_clean_name, candidates))[:DISPLAY_NAME_MAX_LENGTH])


def _first_public(candidates: Iterable[str]) -> str:
    """The first that says anything and gives no e-mail address away: handles and display names are public.

    Uncut: what is left of an address that was cut to size no longer looks like one. Normalized: a full-width @ is one.
    """
    return next((text for text in candidates if text and not _EMAIL.search(unicodedata.normalize("NFKC", text))), "")


def _clean(text: object) -> str:
    return _UNWANTED.sub("", text).strip() if isinstance(text, str) else ""


def _clean_name(text: object) -> str:
    """In one line, and nothing if nothing could be seen of it."""
    cleaned = _clean(_LINE_ENDS.sub(" ", text)) if isinstance(text, str) else ""
    return cleaned if _VISIBLE.search(cleaned) else ""


def _send(body: str) -> None:
    """Send one message; at most three attempts, and none that could still run when the time is over."""
    queue_url = os.environ.get("QUEUE_URL")
    if not queue_url:
        raise QueueUrlNotSet
    last_start = time.monotonic() + MAX_TOTAL - CONNECT_TIMEOUT - READ_TIMEOUT
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            _sqs().send_message(QueueUrl=queue_url, MessageBody=body)
        except Exception:
            if attempt == MAX_ATTEMPTS or time.monotonic() + PAUSE > last_start:
                raise
            time.sleep(PAUSE)
        else:
            return


@cache
def _sqs() -> Any:
    """The client, made at the first use and kept for the container's life."""
    # The attempts are counted here and not by botocore, which does not know of the time that is left for all of them.
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    return boto3.client("sqs", config=config)


def _log_failure(event: dict[str, Any], error: Exception) -> None:
    """One JSON line, of which an alarm counts the `enqueue_failed`. The exception's text may quote the event."""
    answer = getattr(error, "response", None) or {}  # AWS's, if it answered; botocore's time-outs have None here
    line = {
        "level": "error",
        "event": "enqueue_failed",
        "sub": _sub(event),
        "user_pool_id": event.get("userPoolId"),
        "error": type(error).__name__,
        "code": answer.get("Error", {}).get("Code"),
    }
    print(json.dumps(line), flush=True)  # noqa: T201 (Lambda's standard output is its log)


def _sub(event: dict[str, Any]) -> str | None:
    """As the worker logs ids: what is no UUID may be somebody's address, and is named by its hash."""
    try:
        sub = str(event["request"]["userAttributes"]["sub"])
    except (LookupError, TypeError):  # Cognito's event is not what it should be
        return None
    if _UUID.fullmatch(sub):
        return sub
    return "sha256:" + hashlib.sha256(sub.encode(errors="replace")).hexdigest()[:12]
