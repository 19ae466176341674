"""AWS errors, in words for a person who has just set it up: what is wrong, and what to do."""

from typing import Any

from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
)

# The services' own words (SQS API Reference, "Common Error Types"; Amazon Cognito user pools API Reference, "Common
# Errors"; Amazon EC2 API Reference, "Error codes"; the older names are those of the query protocol), and what they do
# not say.
_ACCESS_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
_ADVICE = {
    "ExpiredToken": "sign in again, or renew the credentials",
    "ExpiredTokenException": "sign in again, or renew the credentials",
    "InvalidClientTokenId": "are these the credentials of the right account?",
    "UnrecognizedClientException": "are these the credentials of the right account?",
    "QueueDoesNotExist": "are the queue's URL and AWS_REGION right?",
    "NonExistentQueue": "are the queue's URL and AWS_REGION right?",
    "DBInstanceNotFound": "are the instance's identifier and AWS_REGION right?",
    "InvalidGroup.NotFound": "are the security group's id and AWS_REGION right?",
    "ResourceNotFoundException": "are its id and AWS_REGION right?",
}


# Before SQS's codes of the query protocol, which boto3 gives also where JSON is spoken (botocore.parsers,
# `_do_query_compatible_error_parse`): AWS.SimpleQueueService.BatchRequestTooLong.
_QUERY_PREFIX = "AWS.SimpleQueueService."


class AwsError(Exception):
    """A call failed, whole. `code` is AWS's word for it, or botocore's where no answer came."""

    def __init__(self, operation: str, code: str, text: str) -> None:
        super().__init__(f"{operation}: {text}")
        self.operation = operation
        self.code = code


def explain(error: Exception, *, action: str, endpoint_variable: str) -> tuple[str, str]:
    """The code (AWS's, or the name of botocore's exception) and one line of text.

    `action` is what an IAM policy has to allow for the call, `endpoint_variable` the setting that can lead the call
    elsewhere.
    """
    if isinstance(error, ClientError):
        return _explain_answer(error, action)
    code = type(error).__name__
    if isinstance(error, NoRegionError):
        return code, "no region: set AWS_REGION"
    if isinstance(error, NoCredentialsError):
        return code, "no AWS credentials: set AWS_PROFILE, or run with a role"
    if isinstance(error, EndpointConnectionError):
        return code, f"{error}: is the endpoint right (AWS_REGION, {endpoint_variable})?"
    return code, str(error).partition("\n")[0] or code


def short_code(code: str) -> str:
    """AWS's word for an error, without what stands before it in one protocol or another."""
    return code.rpartition("#")[2].removeprefix(_QUERY_PREFIX)


def refuse_cut_answers(client: Any) -> None:
    """Have a boto3 client raise `IncompleteReadError`, a `BotoCoreError`, for an answer that was cut off.

    By itself it takes one that it cannot read as JSON for an empty one (botocore.parsers, `_parse_body_as_json`): of a
    batch nothing would seem to have failed, and of a user pool nothing to be left.
    """
    client.meta.events.register("before-parse", _check_length)


def _check_length(response_dict: dict[str, Any], **_: object) -> None:
    headers, body = response_dict["headers"], response_dict["body"]
    expected = headers.get("content-length")
    if expected is None or headers.get("content-encoding") or not isinstance(body, bytes):
        return
    if len(body) < int(expected):
        raise IncompleteReadError(actual_bytes=len(body), expected_bytes=int(expected))


def _explain_answer(error: ClientError, action: str) -> tuple[str, str]:
    answer = error.response.get("Error", {})
    code = short_code(answer.get("Code", "Unknown"))
    message = answer.get("Message", "").partition("\n")[0]
    text = f"{code}: {message}" if message else code
    if code in _ACCESS_DENIED:
        return code, f"{text} (needs {action})"
    return code, f"{text} ({_ADVICE[code]})" if code in _ADVICE else text
