"""dramatiq-sqs as its README has it, with dramatiq's own default of a process per core and eight threads in each."""

import os

import dramatiq
from dramatiq.middleware import AgeLimit, Callbacks, Pipelines, Retries, TimeLimit
from dramatiq_sqs import SQSBroker
from rows import insert

queue_name = os.environ["QUEUE_URL"].rpartition("/")[2]

broker = SQSBroker(middleware=[AgeLimit(), TimeLimit(), Callbacks(), Pipelines(), Retries()], visibility_timeout=120)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name=queue_name)
def sign_up(body: str) -> None:
    insert(body)
