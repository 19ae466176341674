"""Rows without a queue: a trigger that inserts by itself, Postgres's own limit, and the worker's statement alone."""

import os
import subprocess
import tempfile
import time

import psycopg

from benchmarks.contestants import PEER_PYTHON, SCRIPTS
from benchmarks.database import Database
from benchmarks.messages import sign_ups
from benchmarks.process_tree import PeakMemory, cpu_seconds
from benchmarks.run import CheckFailed, Result
from db.connection import Connection
from db.tables.users import NewUser, insert_users
from signup_sync.events import UserSignedUp, parse_event

BATCH = 100  # rows; the worker's default

STATEMENT = "the worker's statement alone"
BULK_COPY = "Postgres: one COPY"

COPY = "COPY users (cognito_user_id, display_name, handle, email, created_at) FROM STDIN"


def measure_lambda(database: Database, messages: int) -> Result:
    """Connect, insert and close for each sign-up, one after the other, as one Lambda environment does."""
    name = "insert in the trigger (no queue)"
    database.reset()
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as events:
        events.write("\n".join(sign_ups(messages)))
        events.flush()
        environment = {"PATH": os.environ.get("PATH", os.defpath), "DATABASE_URL": database.url, "EVENTS": events.name}
        command = [PEER_PYTHON, str(SCRIPTS / "lambda_insert.py")]
        with subprocess.Popen(  # noqa: S603 (our own command)
            command, cwd=SCRIPTS, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as running:
            assert running.stdin is not None  # noqa: S101 (for the type checker)
            assert running.stdout is not None  # noqa: S101
            running.stdout.readline()
            cpu, database_cpu = cpu_seconds(running.pid), cpu_seconds(database.pid)
            with PeakMemory([running.pid]) as memory:
                running.stdin.write("begin\n")
                seconds = float(running.stdout.readline())
            cpu, database_cpu = cpu_seconds(running.pid) - cpu, cpu_seconds(database.pid) - database_cpu
            running.communicate("end\n")
    return _result(name, database, messages, seconds, cpu, memory.megabytes, database_cpu)


def measure_statement(database: Database, messages: int) -> Result:
    """Parse and insert in batches, as the worker does, on one connection."""
    database.reset()
    bodies = sign_ups(messages)
    with Connection.connect(database.url, prepare_threshold=None) as connection:
        began, cpu, database_cpu = time.perf_counter(), time.process_time(), cpu_seconds(database.pid)
        for start in range(0, messages, BATCH):
            insert_users(connection, [_new_user(body) for body in bodies[start : start + BATCH]])
            connection.commit()
        cpu, database_cpu = time.process_time() - cpu, cpu_seconds(database.pid) - database_cpu
        seconds = time.perf_counter() - began
    return _result(STATEMENT, database, messages, seconds, cpu, 0.0, database_cpu)


def measure_copy(database: Database, messages: int) -> Result:
    """One COPY: what Postgres can take."""
    database.reset()
    users = [_new_user(body) for body in sign_ups(messages)]
    with psycopg.connect(database.url) as connection, connection.cursor() as cursor:
        began, cpu, database_cpu = time.perf_counter(), time.process_time(), cpu_seconds(database.pid)
        with cursor.copy(COPY) as copy:
            for user in users:
                copy.write_row((user.cognito_user_id, user.display_name, user.handle, user.email, user.created_at))
        connection.commit()
        cpu, database_cpu = time.process_time() - cpu, cpu_seconds(database.pid) - database_cpu
        seconds = time.perf_counter() - began
    return _result(BULK_COPY, database, messages, seconds, cpu, 0.0, database_cpu)


def _new_user(body: str) -> NewUser:
    event = parse_event(body)
    if not isinstance(event, UserSignedUp):
        raise CheckFailed("a message is not a sign-up")
    data = event.data
    return NewUser(data.cognito_user_id, data.display_name, data.handle, data.email, event.time)


def _result(
    name: str, database: Database, messages: int, seconds: float, cpu: float, megabytes: float, database_cpu: float
) -> Result:
    rows, commits = database.written()
    if rows != messages:
        raise CheckFailed(f"{name}: {rows} rows instead of {messages}")
    return Result(
        contestant=name,
        messages=messages,
        per_second=messages / seconds,
        cpu=1e6 * cpu / messages,
        calls=0.0,
        commits=commits / messages,
        megabytes=megabytes,
        server_load=0.0,
        database_load=database_cpu / seconds,
        load=cpu / seconds,
    )
