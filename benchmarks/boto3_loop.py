"""The bar: four threads that receive ten messages and delete them, and do nothing with them.

With LATENCIES it writes at its end, as JSON, how long each message was on its way here (milliseconds): the queue's own
delivery time.
"""

import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import boto3
from botocore.config import Config

THREADS = 4
stopped = Event()
latencies: list[float] = []


def loop(queue_url: str, *, measuring: bool) -> None:
    client = boto3.client("sqs", config=Config(retries={"mode": "standard"}))
    while not stopped.is_set():
        messages = client.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        if not (received := messages.get("Messages", [])):
            continue
        if measuring:
            now = datetime.now(UTC)
            sent = [datetime.fromisoformat(json.loads(message["Body"])["time"]) for message in received]
            latencies.extend((now - at).total_seconds() * 1000 for at in sent)
        entries: Any = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(received)]
        client.delete_message_batch(QueueUrl=queue_url, Entries=entries)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    measuring = "LATENCIES" in os.environ
    arguments = {"queue_url": os.environ["QUEUE_URL"], "measuring": measuring}
    threads = [Thread(target=loop, kwargs=arguments) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
        time.sleep(0.3)  # boto3.client is not safe to call from several threads at once
    while not stopped.is_set():
        stopped.wait(1)
    for thread in threads:
        thread.join()
    if measuring:
        json.dump(latencies, sys.stdout)


if __name__ == "__main__":
    main()
