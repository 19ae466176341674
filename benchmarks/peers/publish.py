"""Puts the events of the file EVENTS into the queue as a peer (named in the arguments) wants its messages."""

import os
import sys
from pathlib import Path
from typing import Any

# Each import, below, is of what only its own peer needs.
# ruff: noqa: PLC0415


def celery(bodies: list[str]) -> None:
    from celery_app import app, sign_up

    with app.producer_pool.acquire(block=True) as producer:
        for body in bodies:
            sign_up.apply_async((body,), producer=producer)


def dramatiq(bodies: list[str]) -> None:
    from dramatiq_app import broker, queue_name, sign_up

    broker.declare_queue(queue_name)
    for body in bodies:
        sign_up.send(body)


def sqs_workers(bodies: list[str]) -> None:
    from sqs_workers_app import queue, sign_up

    with queue.add_batch():
        for body in bodies:
            sign_up.delay(body=body)


def main() -> None:
    publish: Any = {"celery": celery, "dramatiq": dramatiq, "sqs_workers": sqs_workers}[sys.argv[1]]
    publish(Path(os.environ["EVENTS"]).read_text().splitlines())


if __name__ == "__main__":
    main()
