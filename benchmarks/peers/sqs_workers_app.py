"""sqs-workers: a task for each message, or with BATCHES ten at a time ("Batch Reads" of its README)."""

import os

from rows import INSERT, connect, insert, row_of
from sqs_workers import SQSEnv
from sqs_workers.batching import BatchMessages, NoBatching

batches = "BATCHES" in os.environ
queue_url = os.environ["QUEUE_URL"]
queue_name = queue_url.rpartition("/")[2]
queue = SQSEnv().queue(queue_name, batching_policy=BatchMessages(10) if batches else NoBatching(), queue_url=queue_url)

if batches:
    connection = connect()

    @queue.processor("sign_up")
    def sign_up(messages):
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(INSERT, [row_of(message["body"]) for message in messages])

else:

    @queue.processor("sign_up")
    def sign_up(body):
        insert(body)


if __name__ == "__main__":
    queue.process_queue()
