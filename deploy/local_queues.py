"""Makes the queues of compose.yaml, with the same properties as deploy/stacks/queues.yaml gives them.

QUEUE_URL and DLQ_URL name them; the endpoint and the rest are the standard AWS settings.
"""

import json
import os
from typing import Any

import boto3

EVENTS_RETENTION, DEAD_LETTERS_RETENTION = "864000", "1209600"  # seconds


def main() -> None:
    sqs = boto3.client("sqs")
    common: dict[Any, str] = {
        "ReceiveMessageWaitTimeSeconds": "20",
        "VisibilityTimeout": "60",
    }
    names = {variable: os.environ[variable].rpartition("/")[2] for variable in ("QUEUE_URL", "DLQ_URL")}
    of_dead: dict[Any, str] = {"MessageRetentionPeriod": DEAD_LETTERS_RETENTION, "MaximumMessageSize": "1048576"}
    dead_letters = sqs.create_queue(QueueName=names["DLQ_URL"], Attributes={**common, **of_dead})
    arn = sqs.get_queue_attributes(QueueUrl=dead_letters["QueueUrl"], AttributeNames=["QueueArn"])["Attributes"]
    redrive = {"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": 8}
    attributes: dict[Any, str] = {
        **common,
        "MessageRetentionPeriod": EVENTS_RETENTION,
        "MaximumMessageSize": "262144",
        "RedrivePolicy": json.dumps(redrive),
    }
    sqs.create_queue(QueueName=names["QUEUE_URL"], Attributes=attributes)


if __name__ == "__main__":
    main()
