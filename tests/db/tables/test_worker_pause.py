"""The pause of all workers: at most one, and who made it stays."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from db.connection import Connection
from db.tables.worker_pause import (
    REASON_MAX_LENGTH,
    WHO_MAX_LENGTH,
    clear_worker_pause,
    read_worker_pause,
    set_worker_pause,
)


def test_a_pause_is_there_until_it_is_cleared(connection: Connection) -> None:
    assert read_worker_pause(connection) is None

    made = set_worker_pause(connection, "grace", "failover")

    assert made is not None
    assert (made.who, made.reason, made.paused_at.tzinfo) == ("grace", "failover", UTC)
    assert abs(datetime.now(UTC) - made.paused_at) < timedelta(hours=1)
    assert read_worker_pause(connection) == made
    assert clear_worker_pause(connection) == made
    assert read_worker_pause(connection) is None


def test_a_pause_that_is_there_stays_as_it_is(connection: Connection) -> None:
    first = set_worker_pause(connection, "grace", "failover")

    assert set_worker_pause(connection, "ada", "upgrade") is None
    assert read_worker_pause(connection) == first


def test_there_is_nothing_to_clear_where_there_is_no_pause(connection: Connection) -> None:
    assert clear_worker_pause(connection) is None


def test_the_longest_texts_fit(connection: Connection) -> None:
    who, reason = "é" * WHO_MAX_LENGTH, "é" * REASON_MAX_LENGTH

    made = set_worker_pause(connection, who, reason)

    assert made is not None
    assert (made.who, made.reason) == (who, reason)


@pytest.mark.parametrize(
    ("who", "reason"),
    [("", "why"), ("grace", ""), ("g" * (WHO_MAX_LENGTH + 1), "why"), ("grace", "w" * (REASON_MAX_LENGTH + 1))],
)
def test_texts_that_are_empty_or_too_long_are_refused(connection: Connection, who: str, reason: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        set_worker_pause(connection, who, reason)
