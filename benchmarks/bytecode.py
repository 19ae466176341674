"""What a message costs in instructions of Python's bytecode: a count that no neighbour on the machine disturbs.

It is that of the thread that carries messages (`benchmarks.counted_worker`), for receive, parse, write and delete, in
full batches, with a real Postgres. With three endless loops beside it, it was the same to 0.1 %; a needless
`json.dumps` of each body added 4 %. It does not see how long C takes (TLS, hashes, libpq, pydantic's core), as `make
bench` does.

The count depends on the minor version of Python, which compiles the code, and on the versions of what is installed,
which are pinned. So one is recorded for each minor version; but 3.12 cannot count (CPython's issue 103615, "Behavior
change for opcode trace after PEP 669", mended in 3.13).
"""

import json
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from benchmarks.full_queue import FullQueue
from benchmarks.messages import sign_ups
from benchmarks.run import CheckFailed
from db.migrations import migrate
from tests.support.postgres import Postgres
from tests.support.sqs import aws_environment

RECORD = Path(__file__).parent / "results" / "bytecode.json"
TOLERANCE = 0.01  # of the recorded figure

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

# What a start costs, and the end, and batches that are not full yet, is in both.
FEW = 1000  # messages
MANY = 4000  # messages

_ROOT = Path(__file__).parents[1]


def measure() -> float:
    """Instructions of bytecode per message.

    Raises `CheckFailed` for a message that was not written or not deleted, and where Python cannot count.
    """
    with Postgres() as postgres:
        few, many = (count(postgres, sign_ups(messages)) for messages in (FEW, MANY))
    if not few:
        raise CheckFailed(f"Python {PYTHON} does not count the bytecode of threads: take another")
    return (many - few) / (MANY - FEW)


def count(postgres: Postgres, bodies: Sequence[str]) -> int:
    """Instructions that a worker runs until these are written. Raises `CheckFailed` as `measure` does."""
    name = f"bytecode_{uuid.uuid4().hex}"
    database_url = postgres.create_database(name)
    migrate(database_url)
    with FullQueue(bodies) as queue:
        environment = {
            **aws_environment(queue.endpoint_url),
            "QUEUE_URL": queue.url,
            "DLQ_URL": queue.dlq_url,
            "DATABASE_URL": database_url,
            "ADMIN_ADDRESS": "off",
            "LOG_LEVEL": "warning",
            "THREADS": "1",
            "PYTHONHASHSEED": "0",
        }
        command = [sys.executable, "-m", "benchmarks.counted_worker"]
        done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 (our own)
    rows = postgres.execute("SELECT count(*) FROM users", database=name)[0][0]
    if done.returncode or queue.left or rows != len(bodies):
        raise CheckFailed(f"{rows} rows of {len(bodies)}, {len(queue.left)} not deleted\n{done.stdout}{done.stderr}")
    return int(done.stdout)


def recorded() -> dict[str, float]:
    """Instructions per message, by Python's minor version."""
    figures: dict[str, float] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return figures


def record(figure: float) -> None:
    """Keep it as that of this Python."""
    figures = {**recorded(), PYTHON: round(figure, 1)}
    RECORD.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")


def is_regression(now: float, before: float) -> bool:
    """Whether it is more than chance would make it."""
    return now > before * (1 + TOLERANCE)
