"""What each peer does with an event: one row, once, however often the event comes."""

import json
import os
from functools import cache
from typing import Any

import psycopg

INSERT = """
    INSERT INTO users (cognito_user_id, display_name, handle, email, created_at)
    VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (cognito_user_id) DO NOTHING
"""


def row_of(body: str) -> tuple[Any, ...]:
    event = json.loads(body)
    data = event["data"]
    return data["cognito_user_id"], data["display_name"], data["handle"], data["email"], event["time"]


def connect() -> psycopg.Connection[Any]:
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


@cache
def _connection_of(_process: int, _thread: int) -> psycopg.Connection[Any]:
    return connect()


def insert(body: str) -> None:
    """One row, on the connection that this thread keeps."""
    import threading  # noqa: PLC0415 (as late as the peers fork)

    _connection_of(os.getpid(), threading.get_ident()).execute(INSERT, row_of(body))
