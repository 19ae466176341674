"""Celery with SQS, as "Optimizing" and "Using Amazon SQS" of its documentation have it for many short tasks.

Messages are acknowledged late, without which a worker that is killed would lose sign-ups.
"""

import os
from urllib.parse import urlsplit

from celery import Celery
from rows import insert

queue_url = os.environ["QUEUE_URL"]
queue_name = queue_url.rpartition("/")[2]

app = Celery("benchmark", broker=f"sqs://testing:testing@{urlsplit(os.environ['AWS_ENDPOINT_URL_SQS']).netloc}//")
app.conf.update(
    broker_transport_options={
        "region": "us-east-1",
        "is_secure": False,
        "visibility_timeout": 120,
        "wait_time_seconds": 20,
        "predefined_queues": {
            queue_name: {"url": queue_url, "access_key_id": "testing", "secret_access_key": "testing"}
        },
    },
    task_default_queue=queue_name,
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=0,  # without a limit: beyond it Celery would wait for `polling_interval`
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
)


@app.task(name="sign_up")
def sign_up(body: str) -> None:
    insert(body)
