"""Failure: why a message is a dead letter, and the message attributes that say so.

Written by the worker and read by the operators' tools, both by these names.
"""

from datetime import UTC, datetime
from typing import Any, Literal, get_args

from signup_sync.sqs import Attributes
from worker.aws.sqs import text_attribute
from worker.source_queue import SourceQueue

FailureReason = Literal[
    "invalid_event",
    "unknown_type",
    "wrong_queue",
    "unknown_user",
    "unknown_author",
    "unknown_parent",
    "rejected_by_database",
    "attempts_exhausted",
]

FAILURE_REASONS: tuple[FailureReason, ...] = get_args(FailureReason)
WAITING_REASONS: tuple[FailureReason, ...] = ("unknown_user", "unknown_author", "unknown_parent")  # for another event
RETRY_REASONS: tuple[FailureReason, ...] = (*WAITING_REASONS, "attempts_exhausted")

WORKER_CRASHED = "worker_crashed"
"""The reason of a message that SQS itself moved, because the worker died on it: it has no attributes."""

REASONS = (*FAILURE_REASONS, WORKER_CRASHED)

REASON = "failure_reason"
DETAIL = "failure_detail"
FAILED_AT = "failed_at"
RECEIVE_COUNT = "receive_count"
SOURCE_MESSAGE_ID = "source_message_id"
SOURCE_QUEUE = "source_queue"
FAILURE_ATTRIBUTES = frozenset({REASON, DETAIL, FAILED_AT, RECEIVE_COUNT, SOURCE_MESSAGE_ID, SOURCE_QUEUE})


def attributes(
    reason: FailureReason, detail: str, receive_count: int, source_message_id: str
) -> dict[str, dict[str, Any]]:
    """The message attributes of a dead letter, of now. `detail` is one line without personal data."""
    texts = {
        REASON: reason,
        DETAIL: detail,
        FAILED_AT: datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        RECEIVE_COUNT: str(receive_count),
        SOURCE_MESSAGE_ID: source_message_id,
    }
    return {name: text_attribute(text) for name, text in texts.items()}


def source_attributes(source: SourceQueue) -> dict[str, dict[str, Any]]:
    """The message attribute that says from which queue a dead letter came; without it, it is the events queue."""
    return {} if source == "events" else {SOURCE_QUEUE: text_attribute(source)}


def source_queue(attributes: Attributes) -> SourceQueue:
    """From which queue a dead letter with these message attributes came."""
    return "activities" if attributes.get(SOURCE_QUEUE, {}).get("StringValue") == "activities" else "events"
