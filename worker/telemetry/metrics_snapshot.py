"""Snapshot of the metrics: all that they tell, at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass

from worker.aws.sqs import QueueAttributes
from worker.telemetry.measurements import Totals


@dataclass(frozen=True)
class MetricsSnapshot:
    """`queues` are `events`, `dead_letters` and perhaps `activities`, as far as they could be asked; `pool` is
    psycopg_pool's statistics.

    `oldest_received` is in seconds (see `Measurements.oldest_received`). `paused` says that the database is away,
    `waiting` is how many messages wait, by reason.
    """

    version: str
    totals: Totals
    in_flight: int
    paused: bool
    oldest_received: float | None
    pool: Mapping[str, int]
    queues: Mapping[str, QueueAttributes]
    paused_by_operator: bool
    waiting: Mapping[str, int]
