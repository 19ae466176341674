"""Lean client of SQS: the calls that every message needs, without boto3's generic way of making them.

That would cost more than the work: for a receive of ten messages against a stub, a call took 67 µs of CPU with this
client, 210 µs with AWS's own C runtime (awscrt: signing and HTTP), and 760 µs with boto3.

A `LeanClient` stands in for a boto3 client. The first call of each operation is the boto3 client's own; what it signs
there is the pattern of those that follow: endpoint, region, headers. So whatever may be configured (profiles, regions,
FIPS and private endpoints) is botocore's business still, and so are the credentials, which it refreshes, the decision
about retries, and the reading of errors. Ours are the signature, the connection and the happy path.

What it does not do, it leaves to the boto3 client for good: other operations, proxies, client certificates, endpoints
with a path, and signatures other than version 4. Like botocore it does not check the MD5 sums of what it receives.
"""

import hashlib
import hmac
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from random import getrandbits
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit
from uuid import UUID

from botocore import xform_name
from botocore.auth import SIGNED_HEADERS_BLACKLIST
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.hooks import first_non_none_response
from botocore.httpsession import get_cert_path
from botocore.parsers import create_parser
from botocore.utils import get_environ_proxies
from pydantic_core import from_json

from worker.aws.http_connections import Answer, HttpConnections

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials
    from botocore.signers import RequestSigner
    from mypy_boto3_sqs.client import SQSClient

# botocore's quota for retries; each call that succeeds gives one back (botocore.retries.quota, RetryQuota).
RETRY_QUOTA = 500

_OPERATIONS = {
    xform_name(operation): operation
    for operation in ("ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "SendMessageBatch")
}
_ALGORITHM = "AWS4-HMAC-SHA256"
_errors: Any = create_parser("json")
_NOT_SIGNED = frozenset(SIGNED_HEADERS_BLACKLIST)


class _Pattern(NamedTuple):
    """What all calls of one operation have in common."""

    signer: "RequestSigner"
    signing_name: str
    region: str
    endpoint: HttpConnections
    signed: tuple[tuple[str, str], ...]  # headers that are part of the signature, their names in lower case
    head: str  # the request's first line and the headers that are the same each time


class LeanClient:
    """Has the boto3 client's methods, and raises the exceptions that it would raise. Safe to use from any thread.

    `client` is one whose config says how often a call is tried (`total_max_attempts`).
    """

    def __init__(self, client: "SQSClient") -> None:
        self._client = client
        self._ca_bundle = _ca_bundle(client)
        self._endpoints: dict[str, HttpConnections] = {}
        self._patterns: dict[str, _Pattern] = {}
        self._quota_owed = 0  # calls that have to succeed until botocore's quota for retries is full again
        self._config: Any = client.meta.config  # the stubs do not name its options
        self._events = client.meta.events
        self._events.register("before-sign.sqs", self._learn)

    def receive_message(self, **parameters: Any) -> Any:
        return self._call("ReceiveMessage", parameters)

    def delete_message_batch(self, **parameters: Any) -> Any:
        return self._call("DeleteMessageBatch", parameters)

    def change_message_visibility_batch(self, **parameters: Any) -> Any:
        return self._call("ChangeMessageVisibilityBatch", parameters)

    def send_message_batch(self, **parameters: Any) -> Any:
        return self._call("SendMessageBatch", parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
        for endpoint in self._endpoints.values():
            endpoint.close()

    def _learn(
        self,
        request: "AWSRequest",
        operation_name: str,
        signing_name: str,
        region_name: str,
        signature_version: str,
        request_signer: "RequestSigner",
        **_: object,
    ) -> None:
        """Take a request that boto3 is about to sign as the pattern for those to come."""
        url = str(request.url)
        if operation_name in self._patterns or signature_version != "v4" or not self._is_plain(url):
            return
        endpoint = self._endpoint_of(url)
        signing = request.context.get("signing", {})
        # Those of one call, which come anew each time, botocore adds later.
        headers = {name: " ".join(str(value).split()) for name, value in request.headers.items()}
        signed = {name.lower(): value for name, value in headers.items() if name.lower() not in _NOT_SIGNED}
        lines = ["POST / HTTP/1.1", f"Host: {endpoint.host}", "Accept-Encoding: identity"]
        self._patterns[operation_name] = _Pattern(
            request_signer,
            signing.get("signing_name", signing_name),
            signing.get("region", region_name),
            endpoint,
            tuple({"host": endpoint.host, **signed}.items()),
            "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items())]),
        )

    def _endpoint_of(self, url: str) -> HttpConnections:
        # Made only where there is none yet, but two threads may both do so; the one that comes late is never used.
        return self._endpoints.get(url) or self._endpoints.setdefault(
            url, HttpConnections(url, self._config, self._ca_bundle)
        )

    def _is_plain(self, url: str) -> bool:
        """Whether requests go straight to an endpoint, in the way in which we would make them."""
        parts = urlsplit(url)
        proxies = get_environ_proxies(url) if self._config.proxies is None else self._config.proxies
        return (
            parts.path in ("", "/")
            and not parts.query
            and not proxies.get(parts.scheme)
            and not self._config.client_cert
            and (parts.scheme == "http" or bool(self._ca_bundle))
        )

    def together(self, operation: str, calls: Sequence[dict[str, Any]]) -> list[Any | BotoCoreError | ClientError]:
        """Make calls of one operation (by its name in boto3) at the same time; the answers are in the same order.

        `calls` are the parameters of each. What the method itself would raise stands in the place of the answer.
        """
        name = _OPERATIONS[operation]
        pattern = self._patterns.get(name)
        if pattern is None or len(calls) == 1:
            return [_or_error(self._call, name, parameters) for parameters in calls]
        requests = [_request(parameters) for parameters in calls]
        try:
            outcomes = self._exchange(pattern, requests, 1)
        except BotoCoreError as error:
            return [error] * len(calls)
        return [_or_error(self._conclude, name, request, o) for request, o in zip(requests, outcomes, strict=True)]

    def _call(self, operation: str, parameters: dict[str, Any]) -> Any:
        pattern = self._patterns.get(operation)
        if pattern is None:
            return getattr(self._client, xform_name(operation))(**parameters)
        request = _request(parameters)
        [outcome] = self._exchange(pattern, [request], 1)
        return self._conclude(operation, request, outcome)

    def _conclude(self, operation: str, request: "_Request", outcome: "_Outcome") -> Any:
        """The answer to a request whose first attempt has ended so; there may be more attempts."""
        context: dict[str, Any] = {}  # of this call, for botocore's handlers
        for attempt in count(1):
            if outcome.succeeded:
                self._give_quota_back(operation, outcome, context)
                return outcome.parsed
            delay = self._retry_delay(operation, outcome, attempt, context)
            if delay is None:
                raise self._error(operation, outcome, context)
            time.sleep(delay)
            [outcome] = self._exchange(self._patterns[operation], [request], attempt + 1)
        raise AssertionError("count() does not end")

    def _exchange(self, pattern: _Pattern, requests: "Sequence[_Request]", attempt: int) -> "list[_Outcome]":
        """Make one attempt of each. Raises `BotoCoreError` if there are no credentials to be had."""
        auth = pattern.signer.get_auth_instance(pattern.signing_name, pattern.region, "v4")
        if auth.credentials is None:
            raise NoCredentialsError
        attempts = f"amz-sdk-request: attempt={attempt}; max={self._config.retries['total_max_attempts']}"
        signed = [_signed(pattern, auth.credentials, request, attempts) for request in requests]
        return [_outcome(answer) for answer in pattern.endpoint.exchange_all(signed)]

    def _retry_delay(self, operation: str, outcome: "_Outcome", attempt: int, context: dict[str, Any]) -> float | None:
        """Seconds until the next attempt; None says that there is none. The boto3 client's retry handler decides."""
        self._quota_owed = RETRY_QUOTA
        responses = self._events.emit(
            f"needs-retry.sqs.{operation}",
            response=None if outcome.answer is None else (outcome.answer, outcome.parsed),
            endpoint=None,
            operation=self._client.meta.service_model.operation_model(operation),
            attempts=attempt,
            caught_exception=outcome.error,
            request_dict={"context": context},
        )
        delay: float | bool | None = first_non_none_response(responses)
        return None if delay is False else delay

    def _give_quota_back(self, operation: str, outcome: "_Outcome", context: dict[str, Any]) -> None:
        if self._quota_owed:  # else there is nothing to do, and most calls are spared it
            self._quota_owed -= 1
            self._finish(operation, outcome, context)

    def _error(self, operation: str, outcome: "_Outcome", context: dict[str, Any]) -> Exception:
        if outcome.error is not None:
            return outcome.error
        self._finish(operation, outcome, context)
        code = context.get("error_code_override") or outcome.parsed.get("Error", {}).get("Code")
        error: type[ClientError] = cast("Any", self._client.exceptions).from_code(code)
        return error(cast("Any", outcome.parsed), operation)

    def _finish(self, operation: str, outcome: "_Outcome", context: dict[str, Any]) -> None:
        """What botocore does at the end of each call that has an answer."""
        self._events.emit(
            f"after-call.sqs.{operation}",
            http_response=outcome.answer,
            parsed=outcome.parsed,
            model=self._client.meta.service_model.operation_model(operation),
            context=context,
        )


def _ca_bundle(client: "SQSClient") -> str:
    """The file of the authorities that TLS trusts; empty if none is to be checked, or botocore keeps it elsewhere."""
    try:
        # What it found in AWS_CA_BUNDLE, the profile or REQUESTS_CA_BUNDLE, and says nowhere else.
        verify: Any = client._endpoint.http_session._verify  # type: ignore[attr-defined]  # noqa: SLF001
    except AttributeError:
        return ""
    return get_cert_path(verify) or ""


class _Outcome(NamedTuple):
    """Of one attempt: an answer and what is in it, or an error."""

    answer: Answer | None
    parsed: dict[str, Any]
    error: BotoCoreError | None

    @property
    def succeeded(self) -> bool:
        return self.answer is not None and self.answer.status_code < 300


class _Request(NamedTuple):
    """A call's body, and the id that all attempts of it have."""

    body: bytes
    invocation_id: UUID


def _request(parameters: dict[str, Any]) -> _Request:
    return _Request(_json.encode(parameters).encode(), UUID(int=getrandbits(128), version=4))


def _signed(pattern: _Pattern, credentials: "ReadOnlyCredentials", request: _Request, attempts: str) -> bytes:
    """The bytes of one attempt."""
    own = _own_headers(pattern, credentials, request.body)
    invocation = f"amz-sdk-invocation-id: {request.invocation_id}"
    head = f"{pattern.head}\r\n{own}\r\n{attempts}\r\n{invocation}\r\nContent-Length: {len(request.body)}\r\n\r\n"
    return head.encode() + request.body


def _outcome(answer: Answer | BotoCoreError) -> _Outcome:
    if isinstance(answer, BotoCoreError):
        return _Outcome(None, {}, answer)
    try:
        return _Outcome(answer, _parse(answer), None)
    except HTTPClientError as error:
        return _Outcome(None, {}, error)


def _or_error(call: Callable[..., Any], *arguments: Any) -> Any | BotoCoreError | ClientError:
    try:
        return call(*arguments)
    except (BotoCoreError, ClientError) as error:
        return error


# What reading raises where an answer is not of the form that SQS gives it; binascii.Error is a ValueError.
_NOT_OF_SQS = (ValueError, AttributeError, TypeError, RecursionError)


def _parse(answer: Answer) -> dict[str, Any]:
    if answer.status_code >= 300:
        return _parse_error(answer)
    try:
        parsed = _without_nulls(from_json(answer.content, cache_strings="keys"))  # values are hardly ever twice
        for message in parsed.get("Messages", ()):
            for attribute in message.get("MessageAttributes", {}).values():
                if "BinaryValue" in attribute:
                    attribute["BinaryValue"] = b64decode(attribute["BinaryValue"])
    except _NOT_OF_SQS as error:  # a success that is not SQS'
        raise HTTPClientError(error=error) from error
    parsed["ResponseMetadata"] = {
        "RequestId": answer.headers.get("x-amzn-requestid", ""),
        "HTTPStatusCode": answer.status_code,
        "HTTPHeaders": answer.headers,
    }
    return parsed


def _parse_error(answer: Answer) -> dict[str, Any]:
    """As botocore reads it; where that would raise, as if there were no content: the status says what it is."""
    raw = {"body": answer.content, "headers": answer.headers, "status_code": answer.status_code}
    try:
        error: dict[str, Any] = _errors.parse(raw, None)
    except _NOT_OF_SQS:
        error = _errors.parse({**raw, "body": b""}, None)
    return error


def _without_nulls(members: dict[str, Any]) -> dict[str, Any]:
    """Without members that are null, which botocore takes for absent."""
    return {name: value for name, value in members.items() if value is not None}


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


_json = json.JSONEncoder(default=_base64)


def _own_headers(pattern: _Pattern, credentials: "ReadOnlyCredentials", body: bytes) -> str:
    """The headers that make a request ours, with its signature (IAM User Guide, "Create a signed AWS API request")."""
    timestamp = _timestamp(int(time.time()))
    before, after, names = _canonical(pattern.signed, credentials.token)
    canonical = f"{before}{timestamp}{after}{hashlib.sha256(body).hexdigest()}"
    scope = f"{timestamp[:8]}/{pattern.region}/{pattern.signing_name}/aws4_request"
    to_sign = f"{_ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(_signing_key(credentials.secret_key, scope), to_sign.encode(), "sha256").hex()
    token = f"X-Amz-Security-Token: {credentials.token}\r\n" if credentials.token else ""
    return (
        f"X-Amz-Date: {timestamp}\r\n{token}"
        f"Authorization: {_ALGORITHM} Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )


@lru_cache(maxsize=1)
def _timestamp(second: int) -> str:
    """Of a second since the epoch."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")


@lru_cache(maxsize=16)
def _canonical(signed: tuple[tuple[str, str], ...], token: str | None) -> tuple[str, str, str]:
    """The canonical request before the time, and after it up to the body's hash; the names of its headers."""
    own = {"x-amz-date": "\0", **({"x-amz-security-token": token} if token else {})}
    headers = sorted({**dict(signed), **own}.items())
    names = ";".join(name for name, _ in headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers)
    before, _, after = f"POST\n/\n\n{lines}\n{names}\n".partition("\0")
    return before, after, names


@lru_cache(maxsize=4)
def _signing_key(secret_key: str, scope: str) -> bytes:
    key = b"AWS4" + secret_key.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
