"""What is compared, each as a process of its own that is started the way its users start it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = HERE / "peers"
PEERS = HERE.parent / ".bench" / "peers"
PEER_PYTHON = str(PEERS / "bin" / "python")
_WORKER = str(Path(sys.executable).with_name("signup-sync"))


@dataclass(frozen=True)
class Contestant:
    """`writes` says whether rows are what it leaves behind; `publisher` names how its messages are made, if not as ours
    are.

    `share` is the part of the messages of a run that it gets, and `each_round` is for those that are worth measuring
    often even in a quick run: slow ones should not take the whole time. `receivers` is how many receive before there is
    anything in the queue.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    writes: bool = True
    publisher: str | None = None
    share: float = 1.0
    each_round: bool = False
    receivers: int = 1


BAR = Contestant(
    "boto3 loop (receive, delete)", (sys.executable, str(HERE / "boto3_loop.py")), writes=False, each_round=True
)
WORKER = Contestant("signup-sync worker", (_WORKER, "worker"), each_round=True)


def workers(count: int) -> Contestant:
    """The worker with so many processes."""
    command = (*WORKER.command, "--processes", str(count))
    return Contestant(WORKER.name, command, receivers=count)


ON_BOTO3 = Contestant("signup-sync worker, SQS_CLIENT=boto3", (_WORKER, "worker"), {"SQS_CLIENT": "boto3"})
CELERY = Contestant(
    "Celery",
    (PEER_PYTHON, "-m", "celery", "--app", "celery_app", "--quiet", "worker", "--loglevel", "error"),
    publisher="celery",
    share=0.2,
)
DRAMATIQ = Contestant("dramatiq-sqs", (PEER_PYTHON, "-m", "dramatiq", "dramatiq_app"), publisher="dramatiq", share=0.2)
SQS_WORKERS = Contestant(
    "sqs-workers", (PEER_PYTHON, str(SCRIPTS / "sqs_workers_app.py")), publisher="sqs_workers", share=0.5
)
SQS_WORKERS_IN_BATCHES = Contestant(
    "sqs-workers, batches of 10",
    (PEER_PYTHON, str(SCRIPTS / "sqs_workers_app.py")),
    {"BATCHES": "10"},
    publisher="sqs_workers",
    share=0.5,
)

OVER_TLS = (BAR, WORKER, ON_BOTO3, SQS_WORKERS_IN_BATCHES)
CONTESTANTS = (BAR, WORKER, ON_BOTO3, SQS_WORKERS, SQS_WORKERS_IN_BATCHES, CELERY, DRAMATIQ)
